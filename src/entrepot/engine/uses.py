"""Which content is used, and when last: noted in memory, recorded in batches."""

from __future__ import annotations

from entrepot.errors import MetadataFailed
from entrepot.oci.digest import Digest
from entrepot.ports.clock import Clock
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

    def note(self, digest: Digest) -> None:
        _, count = self._noted.get(digest, (0.0, 0))
        if count or len(self._noted) < _MOST:
            self._noted[digest] = (self._clock.now(), count + 1)

    async def flush(self) -> None:
        """Record what was noted; what cannot be recorded is dropped, for it is only statistics."""
        noted, self._noted = self._noted, {}
        uses = [Use(digest, last, count) for digest, (last, count) in noted.items()]
        try:
            for first in range(0, len(uses), _BATCH):
                await self._index.record_uses(uses[first : first + _BATCH])
        except MetadataFailed as failure:
            log.warning("uses_not_recorded", count=len(uses), reason=str(failure))
