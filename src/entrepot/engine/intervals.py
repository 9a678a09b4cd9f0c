"""A set of byte positions, as sorted intervals that neither touch nor overlap."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

__all__ = ["Intervals"]


class Intervals:
    """Intervals are half-open, ``[start, stop)``."""

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        for start, stop in intervals:
            self.add(start, stop)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._stops, strict=True))

    def add(self, start: int, stop: int) -> None:
        """Add ``[start, stop)``, merged with what it touches."""
        if start >= stop:
            return
        first = bisect_left(self._stops, start)
        last = bisect_right(self._starts, stop)
        if first < last:
            start = min(start, self._starts[first])
            stop = max(stop, self._stops[last - 1])
        self._starts[first:last] = [start]
        self._stops[first:last] = [stop]

    def run_end(self, position: int) -> int:
        """Return where the run of bytes from ``position`` on ends: ``position`` if that byte is not here."""
        index = bisect_right(self._starts, position) - 1
        return max(position, self._stops[index]) if index >= 0 else position

    @property
    def end(self) -> int:
        """Where the last interval ends, 0 where there is none."""
        return self._stops[-1] if self._stops else 0

    def next_start(self, position: int) -> int | None:
        """Return where the first interval that begins at or behind ``position`` begins."""
        index = bisect_left(self._starts, position)
        return self._starts[index] if index < len(self._starts) else None

    def gaps(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield the intervals of ``[start, stop)`` that are not in the set."""
        position = self.run_end(start)
        while position < stop:
            found = self.next_start(position)
            end = stop if found is None else min(found, stop)
            yield position, end
            position = self.run_end(end)

    def total(self) -> int:
        return sum(self._stops) - sum(self._starts)
