"""Makes what is recorded of stored blobs agree with what is stored: a crash may come between the two."""

from __future__ import annotations

from entrepot.errors import MetadataFailed, StoreFailed
from entrepot.oci.digest import Digest
from entrepot.ports.blobs import BlobStore
from entrepot.ports.clock import Clock
from entrepot.ports.metadata import BlobIndex, StoredBlobs
from entrepot.telemetry.log import log

__all__ = ["Reconciliation"]

_PAGE = 100
_PAUSE = 0.05


class Reconciliation:
    """Runs behind the answers: after every hundred blobs, some milliseconds of work, it rests for fifty."""

    def __init__(self, store: BlobStore, index: BlobIndex, recorded: StoredBlobs, clock: Clock) -> None:
        self._store = store
        self._index = index
        self._recorded = recorded
        self._clock = clock

    async def run(self) -> None:
        """Record what is stored, forget what is not; what fails is left to the next start."""
        try:
            found = await self._record_found()
            lost = await self._forget_lost()
        except (StoreFailed, MetadataFailed) as failure:
            log.warning("blobs_not_reconciled", reason=str(failure))
            return
        log.info("blobs_reconciled", found=found, lost=lost)

    async def _record_found(self) -> int:
        found = seen = 0
        async for digest, size in self._store.blobs():
            if not self._recorded.is_stored(digest):
                await self._index.record_stored(digest, size, self._clock.now())
                found += 1
            seen += 1
            if seen % _PAGE == 0:
                await self._clock.sleep(_PAUSE)
        return found

    async def _forget_lost(self) -> int:
        """Forget rows without a blob: a fill records a blob after it is stored, so none of them is new."""
        lost, last = 0, None
        while page := self._recorded.stored_after(last, _PAGE):
            for digest in page:
                if not self._is_here(digest):
                    await self._index.forget_stored(digest)
                    lost += 1
            last = page[-1]
            await self._clock.sleep(_PAUSE)
        return lost

    def _is_here(self, digest: Digest) -> bool:
        blob = self._store.open(digest)
        if blob is not None:
            blob.close()
        return blob is not None
