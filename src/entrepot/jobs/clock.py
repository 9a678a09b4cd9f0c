"""The clock that everything is handed."""

from __future__ import annotations

import asyncio
import time

__all__ = ["SystemClock"]


class SystemClock:
    """Implements ``ports.clock.Clock``."""

    def now(self) -> float:
        return time.time()  # noqa: TID251 - this is the clock that everything else is handed.

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
