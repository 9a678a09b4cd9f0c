"""Waits for what comes: as long as a slow, busy machine may take, and not a moment longer than it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

__all__ = ["PATIENCE", "until", "wait_until"]

PATIENCE = 60.0
"""Seconds.  To wait so long for what comes costs nothing; what does not come fails a test anyway."""


def wait_until(claim: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
    """Return as soon as ``claim`` holds; raise ``TimeoutError`` after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not claim():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within:.0f} s")
        time.sleep(0.02)


async def until(claim: Callable[[], object], what: str, within: float = PATIENCE) -> None:
    """Do the same in an event loop, for what happens there."""
    deadline = time.monotonic() + within
    while not claim():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within:.0f} s")
        await asyncio.sleep(0.002)
