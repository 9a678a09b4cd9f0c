"""Runs work again and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from entrepot.ports.clock import Clock
from entrepot.telemetry.log import log

__all__ = ["every", "sample_lag"]


async def every(
    seconds: float, work: Callable[[], Awaitable[None]], clock: Clock, job: str, *, at_once: bool = False
) -> None:
    """Call ``work`` every so many seconds, until cancelled; the time it takes comes on top.

    The first run is ``at_once``, or after so many seconds.  A run that fails is logged under the
    name of the job; the next one may do better.
    """
    if not at_once:
        await clock.sleep(seconds)
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - the outermost frame of a run: the job goes on whatever it was.
            log.exception("job_failed", job=job)
        await clock.sleep(seconds)


async def sample_lag(seconds: float, clock: Clock, observe: Callable[[float], object]) -> None:
    """Tell every so many seconds by how much a wake-up came late, until cancelled."""
    while True:
        due = clock.monotonic() + seconds
        await clock.sleep(seconds)
        observe(max(0.0, clock.monotonic() - due))
