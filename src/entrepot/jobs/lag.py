"""Samples what every wake-up of the event loop costs."""

from __future__ import annotations

from collections.abc import Callable

from entrepot.ports.clock import Clock

__all__ = ["sample_lag"]


async def sample_lag(seconds: float, clock: Clock, observe: Callable[[float], object]) -> None:
    """Tell every so many seconds by how much a wake-up came late, until cancelled."""
    while True:
        due = clock.monotonic() + seconds
        await clock.sleep(seconds)
        observe(max(0.0, clock.monotonic() - due))
