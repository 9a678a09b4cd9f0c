"""Finds damage in the database while the cache runs, and begins a new one in its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from entrepot.errors import MetadataFailed
from entrepot.ports.jobs import Report
from entrepot.ports.metadata import Mendable

__all__ = ["Mending"]


class Mending:
    """``rebuild`` is called when a new database was begun."""

    def __init__(self, database: Mendable, rebuild: Callable[[], Awaitable[object]]) -> None:
        self._database = database
        self._rebuild = rebuild
        self._is_checked = False

    async def run(self) -> Report:
        """Read all of it in search of damage, and mend what is found."""
        self._is_checked, failure = True, None
        try:
            await self._database.check()
        except MetadataFailed as failed:
            failure = str(failed)
        return await self._mend() or Report(failure=failure)

    async def look(self) -> Report | None:
        """Read all of it the first time; then mend what was met meanwhile, if anything was."""
        return await (self._mend() if self._is_checked else self.run())

    async def _mend(self) -> Report | None:
        if not await self._database.renew():
            return None
        await self._rebuild()
        return Report({"renewed": 1})
