"""Measures the cache beside Distribution and nginx on the same bytes: ``scripts/bench [--quick]``."""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.content import Sizes, write_content
from benchmarks.contest import Contest
from benchmarks.nginx import Nginx
from benchmarks.report import Report

_RESULTS = Path(__file__).parent / "results"
_FULL, _QUICK = Sizes(), Sizes(cold=256 << 20, crowd=64 << 20)


def main() -> None:
    options = _options()
    sizes = _QUICK if options.quick else _FULL
    rounds, seconds = (2, 1) if options.quick else (5, 4)
    with tempfile.TemporaryDirectory(prefix="entrepot-bench-", dir=options.work) as name:
        folder = Path(name)
        print("Writing the content ...")
        content = write_content(folder / "content", sizes)
        with Nginx(folder / "nginx", content) as nginx:
            contest = Contest(folder, content, nginx)
            contest.run(rounds, seconds)
    report = Report(contest.samples, contest.failures, sizes, rounds, _versions())
    report.write(options.out)
    print("", *report.lines(), "", sep="\n")
    print(*(f"FAILED {failure}" for failure in contest.failures), sep="\n")
    print(f"Not met: {'; '.join(report.misses) or 'none'}. Written to {options.out}.")
    if contest.failures:
        raise SystemExit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds and smaller blobs: a look, no verdict"
    )
    parser.add_argument(
        "--out", type=Path, default=_RESULTS, help="folder of the results (default: %(default)s)"
    )
    parser.add_argument(
        "--work", type=Path, help="folder for some 6 GB of content (default: the system's own)"
    )
    return parser.parse_args()


def _versions() -> dict[str, str]:
    return {
        "entrepot": version("entrepot"),
        "docker-registry": _version("docker-registry", "--version"),
        "nginx": _version("nginx", "-v"),
        "wrk": _version("wrk", "-v"),
    }


def _version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d[\w.+~-]*", done.stdout + done.stderr)
    return found[0] if found else "of unknown version"


if __name__ == "__main__":
    main()
