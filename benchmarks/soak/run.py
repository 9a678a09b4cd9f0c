"""The soak itself: readers, a cache that is killed at any moment, an upstream that breaks, and a witness."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks.soak.catalogue import Catalogue
from benchmarks.soak.folder import Sizes, orphans, sizes
from benchmarks.soak.readers import Readers
from benchmarks.usage import proportional_size

from entrepot.testing.ports import free_port
from entrepot.testing.programs import CacheProgram, Program, answers
from entrepot.testing.waiting import wait_until

__all__ = ["MIB", "Findings", "Plan", "Soak"]

MIB = 1 << 20
_SECONDS_BETWEEN_LOOKS = 0.2
_SHARE_WITH_ENDS = 0.6
_SHARE_OF_KILLS = 0.7
_TIMES_THE_BUDGET = 4
_LARGEST_SHARE = 16
_FEWEST_LOOKS = 40
_TIDY = "blobs_reconciled"


@dataclass(frozen=True, slots=True)
class Plan:
    """``churn``: how many times the budget is fetched, within at most so many ``seconds``.

    The cache ends ``ends`` times during the first part of it, and is left in peace for the rest.
    ``promises_churn``: there is time for all of it, so that less is a promise broken.
    """

    budget: int
    churn: float
    seconds: float
    ends: int
    readers: int
    promises_churn: bool = False


@dataclass(slots=True)
class Findings:
    """What the witness saw; all in bytes but for the names."""

    kills: int = 0
    stops: int = 0
    seconds: float = 0.0
    fetched: int = 0
    served: int = 0
    answers: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    most: Sizes = field(default_factory=lambda: Sizes(0, 0))
    most_beside_fills: int = 0
    """The most that it held beside what was being filled."""
    memory: list[int] = field(default_factory=list)
    """Of the cache, look by look, since it was last started."""

    @property
    def hit_ratio(self) -> float:
        """Return which share of the bytes served was not fetched for it."""
        return 1 - self.fetched / self.served if self.served else 0.0

    @property
    def memory_growth(self) -> float:
        """Compare the last quarter in peace with the second one; 1 where there was hardly any peace."""
        quarter = len(self.memory) // 4
        if len(self.memory) < _FEWEST_LOOKS:
            return 1.0
        return statistics.median(self.memory[-quarter:]) / statistics.median(
            self.memory[quarter : 2 * quarter]
        )


class Soak:
    def __init__(self, plan: Plan, seed: int, folder: Path) -> None:
        self._plan = plan
        self._chance = Random(seed)
        self._total, self._largest = plan.budget * _TIMES_THE_BUDGET, plan.budget // _LARGEST_SHARE
        self._counts = folder / "counts.json"
        self._catalogue = Catalogue(seed, self._total, self._largest)
        self._upstream = self._make_upstream(seed, folder)
        self._cache = CacheProgram(
            folder / "cache",
            {"docker.io": f"http://127.0.0.1:{self._port}"},
            cache={"max_size": f"{plan.budget // MIB}MiB"},
            drain_timeout="1s",
        )
        self._findings = Findings()

    async def run(self) -> Findings:
        """Soak; then let it tidy up once, and look for orphans."""
        readers = Readers(self._cache.url, self._catalogue, self._chance.randrange(1 << 32))
        stop = asyncio.Event()
        with self._upstream, self._cache:
            began = time.monotonic()
            async with asyncio.TaskGroup() as group:
                group.create_task(readers.run(self._plan.readers, stop))
                witness = group.create_task(self._witness())
                await self._end_again_and_again(began)
                stop.set()
                witness.cancel()
            self._findings.seconds = time.monotonic() - began
            self._findings.fetched = self._fetched()
            await asyncio.to_thread(self._let_tidy)
        self._note(readers)
        return self._findings

    def _make_upstream(self, seed: int, folder: Path) -> Program:
        self._port = free_port()
        options = {"seed": seed, "total": self._total, "largest": self._largest, "port": self._port}
        arguments = [f"--{name}={value}" for name, value in options.items()]
        command = [sys.executable, "-m", "benchmarks.soak.upstream", f"--counts={self._counts}", *arguments]
        url = f"http://127.0.0.1:{self._port}/v2/"
        return Program(command, folder / "upstream.log", ready=lambda: answers(url))

    async def _end_again_and_again(self, began: float) -> None:
        """End the cache at moments of no pattern, start it again, and see the churn through."""
        goal, ends = self._plan.churn * self._plan.budget, self._plan.ends
        moments = sorted(self._chance.random() * _SHARE_WITH_ENDS for _ in range(ends))
        while (progress := self._progress(goal, began)) < 1:
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
            if moments and progress > moments[0]:
                moments.pop(0)
                await asyncio.to_thread(self._end)

    def _progress(self, goal: float, began: float) -> float:
        return max(self._fetched() / goal, (time.monotonic() - began) / self._plan.seconds)

    def _end(self) -> None:
        if self._chance.random() < _SHARE_OF_KILLS:
            self._cache.kill()
            self._findings.kills += 1
        else:
            self._cache.stop()
            self._findings.stops += 1
        self._findings.memory.clear()
        self._cache.start()

    async def _witness(self) -> None:
        """Look at disk and memory, until cancelled."""
        while True:
            self._look_at_disk(await asyncio.to_thread(sizes, self._cache.data))
            self._look_at_memory()
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)

    def _look_at_disk(self, now: Sizes) -> None:
        found = self._findings
        if now.total > found.most.total:
            found.most = now
        found.most_beside_fills = max(found.most_beside_fills, now.total - now.spool)

    def _look_at_memory(self) -> None:
        try:
            self._findings.memory.append(proportional_size(self._cache.pid))
        except (OSError, ProcessLookupError):
            self._findings.memory.clear()

    def _let_tidy(self) -> None:
        """Start anew, for the background work begins with a start, and wait for its end."""
        self._cache.stop()
        before = self._cache.log.read_bytes().count(_TIDY.encode())
        self._cache.start()
        wait_until(lambda: self._cache.log.read_bytes().count(_TIDY.encode()) > before, "tidied up")
        self._cache.stop()
        self._findings.orphans = orphans(self._cache.data)

    def _note(self, readers: Readers) -> None:
        found, tally = self._findings, readers.tally
        found.served, found.wrong, found.answers = (
            tally.bytes,
            tally.wrong,
            dict(sorted(tally.answers.items())),
        )

    def _fetched(self) -> int:
        try:
            return int(json.loads(self._counts.read_text())["bytes"])
        except FileNotFoundError:
            return 0
