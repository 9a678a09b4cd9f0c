"""A clock whose hands are turned by the test."""

from __future__ import annotations

import asyncio
import heapq
import itertools

__all__ = ["VirtualClock"]


class VirtualClock:
    """Stands still until ``advance``; with ``autojump`` a sleep moves it and returns at once."""

    def __init__(self, now: float = 1_700_000_000.0, *, autojump: bool = False) -> None:
        self._started_at = now
        self._elapsed = 0.0
        self._autojump = autojump
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self.sleeps: list[float] = []

    def now(self) -> float:
        return self._started_at + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        if self._autojump:
            self.advance(max(0.0, seconds))
            await asyncio.sleep(0)
            return
        waker = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), waker))
        await waker

    def advance(self, seconds: float) -> None:
        """Move on, and wake in turn all whose time has come."""
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            _, _, waker = heapq.heappop(self._sleepers)
            if not waker.done():
                waker.set_result(None)
