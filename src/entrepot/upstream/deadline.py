"""Deadlines for those who run: an answer may have come while this process, or its machine, stood still.

What comes late is a process that did not run.  Then nobody has looked yet whether the answer is there,
and whoever gives it is not to be blamed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["deadline"]

_LATE = 0.5  # Seconds; an event loop with too much to do lags by less.


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Raise ``TimeoutError`` as ``asyncio.timeout`` does, but wait once more where it would come late."""
    async with asyncio.timeout(None) as scope:
        end = _End(scope, max(seconds, 0.0))
        try:
            yield
        finally:
            end.cancel()


class _End:
    """Of a wait that begins now."""

    def __init__(self, scope: asyncio.Timeout, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope = scope
        self._seconds = seconds
        self._set()

    def cancel(self) -> None:
        self._timer.cancel()

    def _set(self) -> None:
        self._due = self._loop.time() + self._seconds
        self._timer = self._loop.call_at(self._due, self._come)

    def _come(self) -> None:
        now = self._loop.time()
        if now - self._due > _LATE:
            self._set()
        else:
            self._scope.reschedule(now)
