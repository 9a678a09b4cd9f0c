"""Caches that evict the content of lowest priority first, as Entrepot does, and one that knows the future."""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence

from benchmarks.eviction.trace import Use

__all__ = ["Offline", "Priority", "PriorityCache", "capped", "gdsf", "lfu_da", "logarithmic"]

Priority = Callable[[int, int, float], float]
"""Of uses, size and floor, as ``entrepot.policy.eviction.priority``."""


def lfu_da(uses: int, _size: int, floor: float) -> float:
    """Arlitt, Cherkasova, Dilley, Friedrich and Jin, "Evaluating content management techniques" (2000)."""
    return floor + uses


def capped(uses: int, _size: int, floor: float) -> float:
    return floor + min(uses, 8)


def logarithmic(uses: int, _size: int, floor: float) -> float:
    return floor + 1 + 2 * math.log2(uses)


def gdsf(uses: int, size: int, floor: float) -> float:
    """LFU-DA by the byte: many small rather than few large, for the sake of the object hit ratio."""
    return floor + uses * (1 << 20) / size


class _Heap:
    """Blobs with their sizes by priority, older first among equals.

    A new priority leaves the old entry behind.
    """

    def __init__(self) -> None:
        self.size = 0
        self._entries: list[tuple[float, int, int]] = []
        self._current: dict[int, tuple[float, int, int]] = {}
        self._sizes: dict[int, int] = {}
        self._pushed = 0

    def __contains__(self, blob: int) -> bool:
        return blob in self._sizes

    def push(self, blob: int, size: int, priority: float) -> None:
        """Add a blob, or give it another priority."""
        self._pushed += 1
        entry = (priority, self._pushed, blob)
        self.size += size - self._sizes.get(blob, 0)
        self._current[blob], self._sizes[blob] = entry, size
        heapq.heappush(self._entries, entry)
        if len(self._entries) > 64 + 4 * len(self._current):
            self._entries = sorted(self._current.values())

    def pop(self) -> tuple[float, int, int]:
        """Remove the lowest; return priority, blob and size."""
        while True:
            entry = heapq.heappop(self._entries)
            priority, _, blob = entry
            if self._current.get(blob) == entry:
                del self._current[blob]
                size = self._sizes.pop(blob)
                self.size -= size
                return priority, blob, size


class PriorityCache:
    """``ghosts``: how much of what was evicted has its uses remembered, in capacities."""

    def __init__(self, capacity: int, priority: Priority, ghosts: float = 0.0) -> None:
        self._capacity = capacity
        self._priority = priority
        self._heap = _Heap()
        self._uses: dict[int, int] = {}
        self._floor = 0.0
        self._ghosts: OrderedDict[int, int] = OrderedDict()
        self._ghosts_size, self._ghosts_capacity = 0, ghosts * capacity

    def __contains__(self, blob: int) -> bool:
        return blob in self._heap

    def use(self, blob: int, size: int, count: int, /) -> bool:
        is_hit = blob in self._heap
        if size > self._capacity:
            return False
        self._ghosts_size -= self._ghosts.pop(blob, 0)
        self._uses[blob] = self._uses.get(blob, 0) + count
        self._heap.push(blob, size, self._priority(self._uses[blob], size, self._floor))
        while self._heap.size > self._capacity:
            self._evict()
        return is_hit

    def _evict(self) -> None:
        priority, blob, size = self._heap.pop()
        self._floor = max(self._floor, priority)
        self._ghosts[blob] = size
        self._ghosts_size += size
        while self._ghosts_size > self._ghosts_capacity:
            forgotten, its_size = self._ghosts.popitem(last=False)
            self._ghosts_size -= its_size
            del self._uses[forgotten]


class Offline:
    """Belady's rule: what is used again last leaves first, and what is never used again is not kept.

    Best of all where all sizes are equal; among blobs of many sizes a scale, not a proven bound.
    """

    def __init__(self, capacity: int, uses: Sequence[Use]) -> None:
        self._capacity = capacity
        self._next_uses = iter(_next_uses(uses))
        self._heap = _Heap()

    def __contains__(self, blob: int) -> bool:
        return blob in self._heap

    def use(self, blob: int, size: int, _count: int, /) -> bool:
        next_use = next(self._next_uses)
        is_hit = blob in self._heap
        if is_hit or (next_use < math.inf and size <= self._capacity):
            self._heap.push(blob, size, -next_use)
        while self._heap.size > self._capacity:
            self._heap.pop()
        return is_hit


def _next_uses(uses: Sequence[Use]) -> list[float]:
    following: dict[int, int] = {}
    found = [math.inf] * len(uses)
    for position in range(len(uses) - 1, -1, -1):
        blob = uses[position].blob
        found[position] = following.get(blob, math.inf)
        following[blob] = position
    return found
