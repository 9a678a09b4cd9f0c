"""Forgets what content has left in the metadata that is gone, or never came: else it would grow for years."""

from __future__ import annotations

from entrepot.errors import MetadataFailed
from entrepot.ports.clock import Clock
from entrepot.ports.eviction import LeftBehind
from entrepot.ports.jobs import Report
from entrepot.telemetry.log import log

__all__ = ["Cleaning"]

_PAUSE = 0.05
_SECONDS_KEPT = 30 * 86400.0


class Cleaning:
    """Runs behind the answers: after each repository it rests."""

    def __init__(self, index: LeftBehind, clock: Clock) -> None:
        self._index = index
        self._clock = clock

    async def run(self) -> Report:
        """Look through all repositories once; what fails is left to the next run."""
        before, last = self._clock.now() - _SECONDS_KEPT, 0
        try:
            while (cleaned := await self._index.clean(last, before)) is not None:
                last = cleaned
                await self._clock.sleep(_PAUSE)
        except MetadataFailed as failure:
            log.warning("metadata_not_cleaned", reason=str(failure))
            return Report(failure=str(failure))
        return Report()
