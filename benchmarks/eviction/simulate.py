"""Compares eviction policies on made traces: ``scripts/bench eviction [--quick]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.eviction.contest import OFFLINE, POLICIES, Outcome, play, turnovers_survived
from benchmarks.eviction.priorities import Offline
from benchmarks.eviction.report import Report
from benchmarks.eviction.trace import WORKLOADS, Trace, Workload, make_trace

_RESULTS = Path(__file__).parents[1] / "results"
_SHARES, _QUICK_SHARES = (0.02, 0.05, 0.10, 0.20, 0.40), (0.05, 0.20)
_MOST_TURNOVERS = 100


def main() -> None:
    options = _options()
    workloads = WORKLOADS[:1] if options.quick else WORKLOADS
    shares = _QUICK_SHARES if options.quick else _SHARES
    report = Report(shares, _MOST_TURNOVERS)
    for workload in workloads:
        _compare(workload, report)
    for name, make in POLICIES.items():
        report.turnovers[name] = turnovers_survived(make, _MOST_TURNOVERS)
    report.write(options.out)
    print("", *report.lines(), "", f"Written to {options.out}.", sep="\n")


def _compare(workload: Workload, report: Report) -> None:
    print(f"  {workload.name} ...", flush=True)
    trace = make_trace(workload)
    hot = trace.hot_after_sweeps()
    report.add_trace(workload, trace)
    for share in report.shares:
        capacity = int(share * trace.footprint)
        for name, make in POLICIES.items():
            report.add(workload, name, play(make(capacity), trace, hot))
        report.add(workload, OFFLINE, _play_offline(capacity, trace, hot))


def _play_offline(capacity: int, trace: Trace, hot: frozenset[int]) -> Outcome:
    return play(Offline(capacity, trace.uses), trace, hot)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one workload, two sizes: a look, no verdict")
    parser.add_argument(
        "--out", type=Path, default=_RESULTS, help="folder of the results (default: %(default)s)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
