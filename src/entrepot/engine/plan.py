"""Which stretch of a blob to fetch next, so that every missing byte is on exactly one connection."""

from __future__ import annotations

from collections.abc import Sequence

from entrepot.engine.fetch import Fetch
from entrepot.engine.intervals import Intervals

__all__ = ["BLOCK", "NEAR", "plan_fetch", "unclaimed"]

BLOCK = 1 << 20
"""Ranges are fetched in whole blocks of this many bytes."""

NEAR = 4 * BLOCK
"""A reader this close ahead of a running fetch waits for it; one further ahead gets a fetch of its own."""

_ENDLESS = 1 << 62


def plan_fetch(
    present: Intervals, fetches: Sequence[Fetch], position: int, stop: int | None, size: int | None
) -> Fetch | None:
    """Return the fetch to begin for a reader that needs ``position`` next and will read up to ``stop``.

    ``None`` where the byte is here or about to come.  A running fetch that would reach the position too
    late is cut short before it.
    """
    if present.run_end(position) > position:
        return None
    first = position - position % BLOCK
    for fetch in fetches:
        if fetch.covers(position):
            if position - fetch.cursor <= NEAR:
                return None
            fetch.stop = first
    end = _ENDLESS if size is None else size
    if stop is not None:
        end = min(end, stop + -stop % BLOCK)
    gaps = _claimed(present, fetches).gaps(first, end)
    gap = next((gap for gap in gaps if gap[1] > position), None)
    if gap is None:
        return None
    return Fetch(gap[0], None if gap[1] == _ENDLESS else gap[1])


def unclaimed(present: Intervals, fetches: Sequence[Fetch], size: int) -> int | None:
    """Return the first byte that is neither here nor being fetched."""
    gap = next(_claimed(present, fetches).gaps(0, size), None)
    return None if gap is None else gap[0]


def _claimed(present: Intervals, fetches: Sequence[Fetch]) -> Intervals:
    claimed = Intervals(present)
    for fetch in fetches:
        claimed.add(fetch.cursor, _ENDLESS if fetch.stop is None else fetch.stop)
    return claimed
