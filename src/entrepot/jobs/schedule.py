"""Runs work again and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from entrepot.ports.clock import Clock

__all__ = ["every"]


async def every(seconds: float, work: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Call ``work`` every so many seconds, until cancelled; the time it takes comes on top."""
    while True:
        await clock.sleep(seconds)
        await work()
