"""Writes the pulls that caches are compared on: what an organisation's nodes, builds and scanners ask for.

Repositories share base images and make releases, which replace layers.  Their popularity is a
Zipf law and drifts from week to week.  Nodes roll out what is released, in herds, and ask for
the layers that are new to them; builds ask for everything.  Sweeps pull many big images that
nobody asks for again.  Everything follows from the workload's seed.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random

__all__ = ["WORKLOADS", "Trace", "Use", "Workload", "make_trace"]

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_SMALLEST, _LARGEST = 300, 8 * _GIB
_BASES, _BASE_LIFETIME_DAYS = 25, 30.0
_RELEASES_KEPT = 12
_NODES_AT_ONCE = 8  # A herd comes in waves, and uses are recorded every few seconds.
_WAVE_DAYS = 10 / 86400
_HOT_USES, _HOT_DAYS = 3, 7.0


@dataclass(frozen=True, slots=True)
class Workload:
    """``pulls_per_day`` of released images; ``sweeps_per_week`` of 20 to 60 one-off images.

    ``drift``: the share of repositories that change places in popularity each week.
    """

    name: str
    seed: int
    days: int = 36
    repositories: int = 500
    pulls_per_day: int = 150
    sweeps_per_week: float = 2.0
    drift: float = 0.03
    release_days: float = 9.0


WORKLOADS = (
    Workload("mixed", seed=1),
    Workload("sweeps", seed=2, sweeps_per_week=6.0),
    Workload("drift", seed=3, drift=0.15, release_days=4.0),
    Workload("steady", seed=4, sweeps_per_week=0.0),
)


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """``count`` uses of a blob, by number, that are recorded together; ``time`` in days."""

    time: float
    blob: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Trace:
    """``sizes`` in bytes, by the blob's number; ``sweeps``: when each one began and ended."""

    uses: Sequence[Use]
    sizes: Sequence[int]
    sweeps: Sequence[tuple[float, float]] = ()

    @property
    def footprint(self) -> int:
        """Return the size of everything that is asked for at least once."""
        return sum(self.sizes[blob] for blob in {use.blob for use in self.uses})

    def hot_after_sweeps(self) -> frozenset[int]:
        """Find the uses, by position, in the day after a sweep, of what was hot in the week before it."""
        found: set[int] = set()
        for began, ended in self.sweeps:
            before = Counter(use.blob for use in self.uses if began - _HOT_DAYS <= use.time < began)
            found.update(
                position
                for position, use in enumerate(self.uses)
                if ended < use.time <= ended + 1 and before[use.blob] >= _HOT_USES
            )
        return frozenset(found)


def make_trace(workload: Workload) -> Trace:
    return _Organisation(workload).live()


Layers = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Image:
    base: Layers
    own: Layers


@dataclass(slots=True)
class _Repository:
    base: int
    release_days: float
    next_release: float
    dependencies: Layers = ()
    releases: list[_Image] = field(default_factory=list)


class _Organisation:
    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._random = Random(workload.seed)
        self._sizes: list[int] = []
        self._uses: list[Use] = []
        self._sweeps: list[tuple[float, float]] = []
        self._bases = [self._new_base(self._random.randint(1, 4)) for _ in range(_BASES)]
        self._base_weights = list(accumulate(1 / rank for rank in range(1, _BASES + 1)))
        self._repositories = [self._new_repository() for _ in range(workload.repositories)]
        self._weights = list(accumulate(rank**-0.9 for rank in range(1, workload.repositories + 1)))

    def live(self) -> Trace:
        for day in range(self._workload.days):
            self._rebuild_bases()
            for rank, repository in enumerate(self._repositories):
                self._release_until(day + 1, repository, rank)
            for _ in range(self._workload.pulls_per_day):
                self._pull_something(day + self._random.random())
            if day % 7 == 6:
                self._drift()
            if self._random.random() < self._workload.sweeps_per_week / 7:
                self._sweep(day + self._random.random())
        return Trace(sorted(self._uses), self._sizes, self._sweeps)

    # Content.

    def _new_blob(self, median: int, spread: float) -> int:
        size = int(median * math.exp(self._random.gauss(0, spread)))
        self._sizes.append(min(max(size, _SMALLEST), _LARGEST))
        return len(self._sizes) - 1

    def _new_base(self, layers: int) -> Layers:
        return (self._new_blob(40 * _MIB, 0.6), *(self._new_blob(60 * _MIB, 1.0) for _ in range(layers - 1)))

    def _new_repository(self) -> _Repository:
        days = self._workload.release_days * math.exp(self._random.gauss(0, 0.8))
        repository = _Repository(self._choose_base(), days, self._random.random() * days)
        self._release(repository)
        return repository

    def _choose_base(self) -> int:
        return bisect(self._base_weights, self._random.random() * self._base_weights[-1])

    def _release(self, repository: _Repository) -> None:
        """Make a release: what the program depends on changes in one of three, the program in each."""
        chance = self._random
        if not repository.dependencies or chance.random() < 0.35:
            repository.dependencies = tuple(
                self._new_blob(30 * _MIB, 1.3) for _ in range(chance.randint(1, 3))
            )
        program = [self._new_blob(4 * _MIB, 1.8) for _ in range(chance.randint(1, 3))]
        own = (*repository.dependencies, *program, self._new_blob(6 * _KIB, 0.5))
        repository.releases.append(_Image(self._bases[repository.base], own))
        del repository.releases[:-_RELEASES_KEPT]

    # What happens to it.

    def _rebuild_bases(self) -> None:
        for number, base in enumerate(self._bases):
            if self._random.random() < 1 / _BASE_LIFETIME_DAYS:
                self._bases[number] = self._new_base(len(base))

    def _release_until(self, end: float, repository: _Repository, rank: int) -> None:
        while repository.next_release < end:
            time, old = repository.next_release, repository.releases[-1]
            self._release(repository)
            repository.next_release += max(0.5, self._random.expovariate(1 / repository.release_days))
            if rank < 150 or self._random.random() < 0.3:
                nodes = 1 + int(40 * (rank + 1) ** -0.4 * math.exp(self._random.gauss(0, 0.7)))
                self._pull(time, repository.releases[-1], nodes, known={*old.base, *old.own})

    def _pull_something(self, time: float) -> None:
        """Have nodes or builds pull a release: most often the newest, and often with its base at hand."""
        chance = self._random
        repository = self._repositories[bisect(self._weights, chance.random() * self._weights[-1])]
        age = 0 if chance.random() < 0.8 else 1 + int(chance.expovariate(0.4))
        image = repository.releases[max(0, len(repository.releases) - 1 - age)]
        nodes = 1 if chance.random() < 0.6 else 1 + int(chance.expovariate(0.25))
        self._pull(time, image, nodes, known=image.base if chance.random() < 0.5 else ())

    def _drift(self) -> None:
        """Let repositories change places: yesterday's favourite may be anywhere tomorrow."""
        repositories, chance = self._repositories, self._random
        for _ in range(int(self._workload.drift * len(repositories))):
            one = chance.randrange(30 if chance.random() < 0.3 else len(repositories))
            other = chance.randrange(len(repositories))
            repositories[one], repositories[other] = repositories[other], repositories[one]

    def _sweep(self, start: float) -> None:
        """Pull many big images once; some are scanned again a while later, then never more."""
        chance, time = self._random, start
        for _ in range(chance.randint(20, 60)):
            layers = tuple(self._new_blob(120 * _MIB, 1.2) for _ in range(chance.randint(2, 5)))
            base = self._bases[self._choose_base()] if chance.random() < 0.3 else ()
            image = _Image(base, (*layers, self._new_blob(6 * _KIB, 0.5)))
            self._pull(time, image, 1)
            if chance.random() < 0.15:
                self._pull(time + 0.01, image, 1)
            time += 0.002
        self._sweeps.append((start, time))

    def _pull(self, time: float, image: _Image, nodes: int, known: Collection[int] = ()) -> None:
        wanted = [blob for blob in (*image.base, *image.own) if blob not in known]
        waves = min(3, 1 + nodes // _NODES_AT_ONCE)
        for wave in range(waves):
            count = nodes // waves + (wave < nodes % waves)
            self._uses += [Use(time + wave * _WAVE_DAYS, blob, count) for blob in wanted]
