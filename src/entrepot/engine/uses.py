"""Which content is used, and when last: noted in memory, recorded in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from entrepot.errors import MetadataFailed
from entrepot.oci.digest import Digest
from entrepot.ports.clock import Clock
from entrepot.ports.jobs import Report
from entrepot.ports.metadata import BlobIndex, Use
from entrepot.telemetry.log import log

__all__ = ["Uses"]

_BATCH = 1000
_MOST = 200_000


class Uses:
    """``note`` is for the hot path; ``flush`` is called every few seconds, and once at the end."""

    def __init__(self, index: BlobIndex, clock: Clock) -> None:
        self._index = index
        self._clock = clock
        self._noted: dict[Digest, tuple[float, int]] = {}
        self._leaving: dict[Digest, tuple[float, int]] = {}
        self._turn = asyncio.Lock()

    def note(self, digest: Digest, now: float | None = None) -> None:
        _, count = self._noted.get(digest, (0.0, 0))
        if count or len(self._noted) < _MOST:
            self._noted[digest] = (self._clock.now() if now is None else now, count + 1)

    def __contains__(self, digest: Digest) -> bool:
        """Tell whether content was used, and its use is not recorded yet."""
        return digest in self._noted or digest in self._leaving

    async def flush(self, is_coming: Callable[[Digest], bool] = lambda _digest: False) -> Report:
        """Record what was noted; what cannot be recorded, now or later, is dropped: it is only statistics.

        Uses of what ``is_coming`` are kept for later: it is not recorded as stored yet.
        """
        async with self._turn:
            noted = self._noted
            self._noted = {digest: use for digest, use in noted.items() if is_coming(digest)}
            self._leaving = {digest: use for digest, use in noted.items() if digest not in self._noted}
            try:
                return await self._record([Use(digest, *use) for digest, use in self._leaving.items()])
            finally:
                self._leaving = {}

    async def _record(self, uses: list[Use]) -> Report:
        reason, missed = None, 0
        for first in range(0, len(uses), _BATCH):
            batch = uses[first : first + _BATCH]
            try:
                await self._index.record_uses(batch)
            except MetadataFailed as failure:
                reason, missed = str(failure), missed + len(batch)
        if reason is not None:
            log.warning("uses_not_recorded", count=missed, reason=reason)
        return Report({"recorded": len(uses) - missed}, failure=reason)
