"""The load: wrk for many small answers, curl for large ones."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from benchmarks.content import MANIFEST_TYPE

from entrepot.testing.programs import run

__all__ = ["download_speed", "download_together", "requests_per_second"]

_LONGEST = 300.0
_SECONDS = 1
_IN_TURN = Path(__file__).with_name("pull.lua")


def requests_per_second(url: str, *paths: str) -> float:
    """Ask for ``paths`` in turn, over 32 connections; an answer that is no success makes the figure void."""
    first, *others = paths
    command = [
        *("wrk", "--threads", "1", "--connections", "32", "--duration", f"{_SECONDS}s"),
        *("--header", f"Accept: {MANIFEST_TYPE}"),
    ]
    in_turn = ("--script", str(_IN_TURN), url, "--", *paths)
    output = run(*command, *(in_turn if others else [url + first]), within=_SECONDS + 60.0)
    if "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"wrk saw errors at {url}:\n{output}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if found is None:
        raise RuntimeError(f"wrk said nothing of its speed:\n{output}")
    return float(found[1])


def download_speed(url: str, size: int, clients: int = 1, *, authority: Path | None = None) -> float:
    """Download ``url`` whole by ``clients`` at once; return bytes per second of all together.

    ``authority`` is the file of the certificate that a server with TLS must show.
    """
    trust = ["--http1.1", "--cacert", str(authority)] if authority else []
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--output",
        "/dev/null",
        "--write-out",
        _OUTCOME,
        *trust,
        url,
    ]
    started = time.perf_counter()
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(clients)]
    outcomes = [process.communicate(timeout=_LONGEST)[0].split() for process in processes]
    elapsed = time.perf_counter() - started
    _check(outcomes, size)
    return clients * size / elapsed


def download_together(url: str, size: int, clients: int) -> None:
    """Download ``url`` whole by ``clients`` at once, from one process, so that the clients cost little."""
    targets = ["--output", "/dev/null", url] * clients
    limits = ("--parallel", "--parallel-immediate", "--parallel-max", str(clients))
    output = run(
        "curl", "--silent", "--show-error", *limits, "--write-out", f"{_OUTCOME}\n", *targets, within=_LONGEST
    )
    outcomes = [line.split() for line in output.splitlines()]
    if len(outcomes) != clients:
        raise RuntimeError(f"{clients} clients were to download {url}, {len(outcomes)} did")
    _check(outcomes, size)


_OUTCOME = "%{http_code} %{size_download}"


def _check(outcomes: list[list[str]], size: int) -> None:
    wrong = [outcome for outcome in outcomes if outcome != ["200", str(size)]]
    if wrong:
        raise RuntimeError(f"{len(wrong)} of {len(outcomes)} downloads went wrong, the first with {wrong[0]}")
