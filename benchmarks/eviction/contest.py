"""Plays every workload to every policy at every size of cache, and counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks.eviction.priorities import PriorityCache, capped, gdsf, lfu_da, logarithmic
from benchmarks.eviction.queues import Cache, Fifo, Lru, S3Fifo, SegmentedLru, TinyLfu
from benchmarks.eviction.trace import Trace

from entrepot.policy.eviction import priority

__all__ = ["CHOSEN", "OFFLINE", "POLICIES", "Outcome", "play", "turnovers_survived"]

CHOSEN, OFFLINE = "Entrepot", "offline"

POLICIES: dict[str, Callable[[int], Cache]] = {
    "LRU": Lru,
    "FIFO": Fifo,
    "SLRU": SegmentedLru,
    "LFU-DA": partial(PriorityCache, priority=lfu_da),
    "LFU-DA, at most 8": partial(PriorityCache, priority=capped),
    "LFU-DA, logarithmic": partial(PriorityCache, priority=logarithmic),
    "GDSF": partial(PriorityCache, priority=gdsf),
    "S3-FIFO": S3Fifo,
    "W-TinyLFU, window 1 %": partial(TinyLfu, window=0.01),
    "W-TinyLFU, window 10 %": TinyLfu,
    "Entrepot with ghosts": partial(PriorityCache, priority=priority, ghosts=1.0),
    CHOSEN: partial(PriorityCache, priority=priority),
}

_FAVOURITE_USES = 1_000_000
_UNITS = 100


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares of what was asked for that was there: of bytes, of blobs, of hot bytes after a sweep.

    What is recorded together counts once: however many nodes ask at once, a miss is one download.
    """

    bytes_hit: float
    blobs_hit: float
    hot_bytes_hit: float | None


def play(cache: Cache, trace: Trace, hot: frozenset[int]) -> Outcome:
    sizes = trace.sizes
    asked = hits = asked_hot = hits_hot = blobs = 0
    for position, use in enumerate(trace.uses):
        size = sizes[use.blob]
        hit = size if cache.use(use.blob, size, use.count) else 0
        asked += size
        hits += hit
        blobs += hit > 0
        if position in hot:
            asked_hot += size
            hits_hot += hit
    return Outcome(hits / asked, blobs / len(trace.uses), hits_hot / asked_hot if asked_hot else None)


def turnovers_survived(make: Callable[[int], Cache], most: int) -> int:
    """Count how often one-off blobs replace a cache until a favourite of a million uses has left it."""
    cache = make(_UNITS)
    for _ in range(10):
        cache.use(0, 1, _FAVOURITE_USES // 10)
    for blob in range(1, most * _UNITS + 1):
        cache.use(blob, 1, 1)
        if 0 not in cache:
            return blob // _UNITS
    return most
