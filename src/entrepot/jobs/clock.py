"""The clock that everything is handed."""

from __future__ import annotations

import asyncio
import time

__all__ = ["SystemClock"]

_SHORTEST = 0.001


class SystemClock:
    """Implements ``ports.clock.Clock``."""

    now = staticmethod(time.time)  # noqa: TID251 - this is the clock that everything else is handed.
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Sleep again where the event loop, which counts whole milliseconds, woke too early."""
        end = time.monotonic() + seconds
        await asyncio.sleep(seconds)
        if (left := end - time.monotonic()) > 0:
            await self.sleep(max(left, _SHORTEST))
