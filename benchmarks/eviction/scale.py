"""Measures what eviction costs among a million blobs: ``scripts/bench eviction-scale``.

How long a start takes, how long it takes to pick and remove 1,000 victims, and what eviction adds to
the slowest hundredth of hits.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.eviction.population import SIZE, blob_of, populate, repository_of
from benchmarks.usage import processor_seconds

from entrepot.engine.eviction import Eviction
from entrepot.engine.ledger import Ledger
from entrepot.engine.uses import Uses
from entrepot.metadata.sql import SqlMetadata
from entrepot.storage.disk import FilesystemDisk
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.programs import CacheProgram, run
from entrepot.testing.virtual_clock import VirtualClock

_RESULTS = Path(__file__).parents[1] / "results"
_VICTIMS = 1000
_STARTS = 9
_ROUNDS = 3
_SECONDS = 5
_UPSTREAMS = {"docker.io": "http://127.0.0.1:9"}  # Nobody is asked.
_CACHE: dict[str, object] = {"scrub": {"every": "0s"}}  # For it would find the holes to be wrong.
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_NO_SIZE = 1 << 50


@dataclass(frozen=True)
class Figures:
    """Seconds, but for hits: those are milliseconds."""

    blobs: int
    database_bytes: int
    start: float
    start_cpu: float
    start_empty: float
    start_empty_cpu: float
    turns: float
    remove: float
    remove_cpu: float
    hits_p99: float
    hits_p99_evicting: float
    evicted_per_second: float
    load: float

    def lines(self) -> list[str]:
        added = self.hits_p99_evicting - self.hits_p99
        return [
            f"# Eviction among {self.blobs:,} blobs",
            "",
            f"Written by `scripts/bench eviction-scale`; the database has {self.database_bytes >> 20} MiB.",
            "",
            "| | measured | to reach |",
            "|---|---|---|",
            f"| start until ready | {self.start:.2f} s, of CPU {self.start_cpu:.2f} s | < 1 s |",
            f"| that of an empty cache | {self.start_empty:.2f} s, of CPU {self.start_empty_cpu:.2f} s | |",
            f"| pick and remove {_VICTIMS:,} | {self.remove:.2f} s, of CPU {self.remove_cpu:.2f} s | < 2 s |",
            f"| p99 of hits | {self.hits_p99:.1f} ms | |",
            f"| that while {self.evicted_per_second:,.0f} a second are evicted | {added:+.1f} ms | < 5 ms |",
            "",
            f"A start is from the making of the process to its first answer: the median of {_STARTS}.",
            f"A million turns of a loop in Python took {self.turns * 1000:.0f} ms of CPU between the starts.",
            f"Other work took {self.load:.1f} of {os.cpu_count()} cores: times are what they are beside it.",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blobs", type=int, default=1_000_000)
    parser.add_argument(
        "--work", type=Path, help="folder for 2 GB and a million files (default: the system's own)"
    )
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="entrepot-scale-", dir=options.work) as name:
        figures = _measure(Path(name), options.blobs)
    (options.out / "eviction-scale.json").write_text(json.dumps(asdict(figures), indent=2) + "\n")
    (options.out / "eviction-scale.md").write_text("\n".join(figures.lines()) + "\n")
    print(*figures.lines(), sep="\n")


def _measure(folder: Path, blobs: int) -> Figures:
    print(f"Making {blobs:,} blobs ...")
    full, empty = (
        CacheProgram(folder / name, _UPSTREAMS, cache=_CACHE, log={"access": False}, audit={"enabled": False})
        for name in ("full", "empty")
    )
    asyncio.run(populate(full.data, blobs))
    load = os.getloadavg()[0]
    print("Measuring ...")
    remove, remove_cpu = asyncio.run(_remove(full.data))
    starts = [(_start(full), _start(empty), _turns()) for _ in range(_STARTS)]
    hits = _hits(full, blobs)
    return Figures(
        blobs=blobs,
        database_bytes=(full.data / "entrepot.db").stat().st_size,
        start=statistics.median(large for (large, _), _, _ in starts),
        start_cpu=statistics.median(large for (_, large), _, _ in starts),
        start_empty=statistics.median(small for _, (small, _), _ in starts),
        start_empty_cpu=statistics.median(small for _, (_, small), _ in starts),
        turns=statistics.median(turns for _, _, turns in starts),
        remove=remove,
        remove_cpu=remove_cpu,
        hits_p99=statistics.median(calm for calm, _, _ in hits),
        hits_p99_evicting=statistics.median(evicting for _, evicting, _ in hits),
        evicted_per_second=statistics.median(rate for _, _, rate in hits),
        load=load,
    )


async def _remove(data: Path) -> tuple[float, float]:
    """Return the seconds, and those of CPU, that it takes to pick and remove the victims."""
    store, metadata = FilesystemBlobs(data), SqlMetadata.open(data / "entrepot.db")
    clock, metrics = VirtualClock(), Metrics()
    ledger = Ledger(FilesystemDisk(data), metadata, clock)
    eviction = Eviction(store, metadata, ledger, Uses(metadata, clock), metrics)
    began, cpu = time.perf_counter(), time.process_time()
    await eviction.free(_VICTIMS * SIZE, eviction.tally("budget"))
    seconds = time.perf_counter() - began, time.process_time() - cpu
    await metadata.close()
    store.close()
    return seconds


def _start(cache: CacheProgram) -> tuple[float, float]:
    """Return the seconds, and those of CPU, from the making of the process until it says that it is ready."""
    began = time.perf_counter()
    with cache:
        seconds = time.perf_counter() - began
        return seconds, processor_seconds(cache.pid)


def _turns() -> float:
    """Return the seconds of CPU that a million turns of a loop take now: machines differ, and have moods."""
    began = time.process_time()
    for _ in range(1_000_000):
        pass
    return time.process_time() - began


def _hits(cache: CacheProgram, blobs: int) -> list[tuple[float, float, float]]:
    """Return, of each round, the p99 of hits without and with eviction, and how many go in a second."""
    hot = blobs - 1
    url = f"{cache.url}/v2/docker.io/{repository_of(hot)}/blobs/{blob_of(hot)}"
    rounds = []
    with cache:
        _p99(url)
        for _ in range(_ROUNDS):
            _budget(cache, None)
            calm = _p99(url)
            before = _evicted(cache)
            _budget(cache, SIZE)
            evicting = _p99(url)
            rounds.append((calm, evicting, (_evicted(cache) - before) / _SECONDS))
    return rounds


def _budget(cache: CacheProgram, size: int | None) -> None:
    """Have the cache take up a budget, and be at work, or at rest, by it."""
    cache.settings["cache"] = _CACHE if size is None else _CACHE | {"max_size": size}
    cache.configure(_UPSTREAMS)
    cache.reload()
    time.sleep(1)


def _evicted(cache: CacheProgram) -> float:
    return sum(cache.values("entrepot_evictions_total"))


def _p99(url: str) -> float:
    load = ("wrk", "--threads", "1", "--connections", "8", "--duration", f"{_SECONDS}s", "--latency", url)
    output = run(*load, within=_SECONDS + 60.0)
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)", output)
    if found is None or "Non-2xx" in output:
        raise RuntimeError(f"wrk saw errors at {url}:\n{output}")
    return float(found[1]) * _UNITS[found[2]]


if __name__ == "__main__":
    main()
