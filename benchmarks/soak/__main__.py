"""Years of a cache in minutes: ``scripts/bench soak [--quick]``.  Exits with 1 where a promise was broken."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from benchmarks.soak.report import Report
from benchmarks.soak.run import MIB, Plan, Soak

_RESULTS = Path(__file__).parents[1] / "results"
_FULL = Plan(budget=96 * MIB, churn=20, seconds=290, ends=16, readers=8, promises_churn=True)
_QUICK = Plan(budget=64 * MIB, churn=20, seconds=45, ends=6, readers=6)
_BRIEF = Plan(budget=64 * MIB, churn=8, seconds=12, ends=3, readers=4)


def main() -> None:
    options = _options()
    plan = _BRIEF if options.brief else _QUICK if options.quick else _FULL
    with tempfile.TemporaryDirectory(prefix="entrepot-soak-", dir=options.work) as name:
        findings = asyncio.run(Soak(plan, options.seed, Path(name)).run())
    report = Report(plan, options.seed, findings)
    report.write(options.out)
    print(*report.lines(), sep="\n")
    print(*findings.wrong[:20], *findings.orphans[:20], sep="\n")
    if report.broken_promises:
        raise SystemExit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench soak", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller budget, 45 seconds at most")
    parser.add_argument("--brief", action="store_true", help="a look of 12 seconds, as among the tests")
    parser.add_argument("--seed", type=int, default=1, help="of the content and of all chance")
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results (%(default)s)")
    parser.add_argument("--work", type=Path, help="folder for the cache's data (default: the system's own)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
