"""Finds damage in the database while the cache runs, and begins a new one in its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from entrepot.errors import MetadataFailed
from entrepot.jobs.schedule import every
from entrepot.ports.clock import Clock
from entrepot.ports.metadata import Mendable

__all__ = ["keep_sound"]

_SECONDS = 5.0


async def keep_sound(database: Mendable, rebuild: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Check once, then see every few seconds whether damage was met, until cancelled.

    ``rebuild`` is called when a new database was begun.
    """

    async def mend() -> None:
        if await database.renew():
            await rebuild()

    with suppress(MetadataFailed):  # It is noted, and mended next.
        await database.check()
    await every(_SECONDS, mend, clock, "mend database", at_once=True)
