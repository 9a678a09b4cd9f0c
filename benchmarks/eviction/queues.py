"""Caches that choose their victims by queues: LRU, FIFO, SLRU, S3-FIFO and W-TinyLFU."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from typing import Protocol

__all__ = ["Cache", "Fifo", "Lru", "S3Fifo", "SegmentedLru", "TinyLfu"]


class Cache(Protocol):
    """``use`` tells whether the blob was there, and may keep it if not; ``in`` only looks."""

    def use(self, blob: int, size: int, count: int, /) -> bool: ...
    def __contains__(self, blob: int) -> bool: ...


class _Queue:
    """Blobs with their sizes, oldest first."""

    def __init__(self) -> None:
        self.size = 0
        self._sizes: OrderedDict[int, int] = OrderedDict()

    def __contains__(self, blob: int) -> bool:
        return blob in self._sizes

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._sizes.items())

    def __len__(self) -> int:
        return len(self._sizes)

    def push(self, blob: int, size: int) -> None:
        self._sizes[blob] = size
        self.size += size

    def pop(self) -> tuple[int, int]:
        blob, size = self._sizes.popitem(last=False)
        self.size -= size
        return blob, size

    def remove(self, blob: int) -> int:
        size = self._sizes.pop(blob)
        self.size -= size
        return size

    def renew(self, blob: int) -> None:
        self._sizes.move_to_end(blob)


class Fifo:
    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queue = _Queue()

    def __contains__(self, blob: int) -> bool:
        return blob in self._queue

    def use(self, blob: int, size: int, _count: int, /) -> bool:
        if blob in self._queue:
            return True
        if size <= self._capacity:
            self._queue.push(blob, size)
        while self._queue.size > self._capacity:
            self._queue.pop()
        return False


class Lru(Fifo):
    def use(self, blob: int, size: int, count: int, /) -> bool:
        if blob in self._queue:
            self._queue.renew(blob)
        return super().use(blob, size, count)


class SegmentedLru:
    """Two LRU segments: what is used again is moved to the protected one, four fifths of the whole."""

    def __init__(self, capacity: int, protected: float = 0.8) -> None:
        self.capacity = capacity
        self._protected_capacity = protected * capacity
        self._probation, self._protected = _Queue(), _Queue()

    def __contains__(self, blob: int) -> bool:
        return blob in self._probation or blob in self._protected

    def __len__(self) -> int:
        return len(self._probation) + len(self._protected)

    @property
    def size(self) -> int:
        return self._probation.size + self._protected.size

    def victims(self) -> Iterator[tuple[int, int]]:
        return chain(self._probation, self._protected)

    def remove(self, blob: int) -> None:
        (self._probation if blob in self._probation else self._protected).remove(blob)

    def use(self, blob: int, size: int, _count: int, /) -> bool:
        if blob in self._protected:
            self._protected.renew(blob)
            return True
        if blob in self._probation:
            self._protected.push(blob, self._probation.remove(blob))
            while self._protected.size > self._protected_capacity:
                self._probation.push(*self._protected.pop())
            return True
        if size <= self.capacity:
            self._probation.push(blob, size)
        while self.size > self.capacity:
            (self._probation or self._protected).pop()
        return False


class S3Fifo:
    """Yang, Zhang, Qiu, Yue and Vinayak, "FIFO Queues are All You Need for Cache Eviction" (SOSP 2023).

    What is not used again leaves by the small queue; a ghost queue remembers it for a while.
    """

    def __init__(self, capacity: int, small: float = 0.1) -> None:
        self._capacity = capacity
        self._small_capacity = small * capacity
        self._small, self._main, self._ghosts = _Queue(), _Queue(), _Queue()
        self._uses: dict[int, int] = {}

    def __contains__(self, blob: int) -> bool:
        return blob in self._uses

    def use(self, blob: int, size: int, count: int, /) -> bool:
        if blob in self._uses:
            self._uses[blob] = min(3, self._uses[blob] + count)
            return True
        if size > self._capacity:
            return False
        while self._small.size + self._main.size + size > self._capacity:
            self._evict()
        if blob in self._ghosts:
            self._ghosts.remove(blob)
            self._main.push(blob, size)
        else:
            self._small.push(blob, size)
        self._uses[blob] = min(3, count - 1)
        return False

    def _evict(self) -> None:
        if self._small.size > self._small_capacity or not self._main:
            self._evict_small()
        else:
            self._evict_main()

    def _evict_small(self) -> None:
        blob, size = self._small.pop()
        if self._uses[blob] > 1:
            self._uses[blob] = 0
            self._main.push(blob, size)
            return
        del self._uses[blob]
        self._ghosts.push(blob, size)
        while self._ghosts.size > self._capacity - self._small_capacity:
            self._ghosts.pop()

    def _evict_main(self) -> None:
        while True:
            blob, size = self._main.pop()
            if not self._uses[blob]:
                del self._uses[blob]
                return
            self._uses[blob] -= 1
            self._main.push(blob, size)


class TinyLfu:
    """Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient Cache Admission Policy" (2017).

    A window takes everything; what leaves it is admitted to the main cache if it was used more often
    than each victim it needs.  Counts are exact here, end at 15, and are halved now and then.
    """

    def __init__(self, capacity: int, window: float = 0.1) -> None:
        self._window_capacity = int(window * capacity)
        self._window = _Queue()
        self._main = SegmentedLru(capacity - self._window_capacity)
        self._counts: dict[int, int] = {}
        self._counted = 0

    def __contains__(self, blob: int) -> bool:
        return blob in self._window or blob in self._main

    def use(self, blob: int, size: int, count: int, /) -> bool:
        self._count(blob, count)
        if blob in self._main:
            return self._main.use(blob, size, count)
        if blob in self._window:
            self._window.renew(blob)
            return True
        if size <= self._window_capacity:
            self._window.push(blob, size)
        else:
            self._offer(blob, size)
        while self._window.size > self._window_capacity:
            self._offer(*self._window.pop())
        return False

    def _count(self, blob: int, count: int) -> None:
        self._counts[blob] = min(15, self._counts.get(blob, 0) + count)
        self._counted += 1
        if self._counted >= 10 * (50 + len(self._window) + len(self._main)):
            self._counted //= 2
            self._counts = {blob: count // 2 for blob, count in self._counts.items() if count > 1}

    def _offer(self, blob: int, size: int) -> None:
        if size > self._main.capacity:
            return
        room, victims = self._main.capacity - self._main.size, []
        for victim, its_size in self._main.victims():
            if room >= size:
                break
            if self._counts.get(victim, 0) >= self._counts.get(blob, 0):
                return
            victims.append(victim)
            room += its_size
        for victim in victims:
            self._main.remove(victim)
        self._main.use(blob, size, 1)
