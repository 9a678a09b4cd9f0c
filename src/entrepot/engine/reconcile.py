"""Makes what is recorded of stored blobs agree with what is stored, and drops what neither knows of.

A crash may come between file and row; disks, people and lost databases do the rest.
"""

from __future__ import annotations

from typing import Protocol

from entrepot.engine.ledger import Ledger
from entrepot.errors import MetadataFailed, StoreFailed
from entrepot.ports.blobs import BlobStore, Sweeping
from entrepot.ports.clock import Clock
from entrepot.ports.jobs import Report
from entrepot.ports.metadata import BlobIndex, StoredBlobs
from entrepot.telemetry.log import log

__all__ = ["Reconciliation", "SweptStore"]

_PAGE = 100
_PAUSE = 0.05


class SweptStore(BlobStore, Sweeping, Protocol):
    """What rows are compared with."""


class Reconciliation:
    """Runs behind the answers: after every hundred blobs, some milliseconds of work, it rests for fifty."""

    def __init__(
        self, store: SweptStore, index: BlobIndex, recorded: StoredBlobs, ledger: Ledger, clock: Clock
    ) -> None:
        self._store = store
        self._index = index
        self._recorded = recorded
        self._ledger = ledger
        self._clock = clock

    async def run(self) -> Report:
        """Record what is stored, forget what is not; what fails is left to the next run."""
        try:
            found = await self._record_found()
            lost = await self._forget_lost()
            swept = await self._sweep()
        except (StoreFailed, MetadataFailed) as failure:
            log.warning("blobs_not_reconciled", reason=str(failure))
            return Report(failure=str(failure))
        log.info("blobs_reconciled", found=found, lost=lost, swept=swept)
        return Report({"found": found, "lost": lost, "swept": swept})

    async def _record_found(self) -> int:
        if not self._recorded.stored_after(None, 1):
            self._ledger.unrecorded = await self._measure()
        found = seen = 0
        async for digest, size in self._store.blobs():
            if not self._recorded.is_stored(digest):
                await self._index.record_stored(digest, size, self._clock.now())
                self._ledger.unrecorded = max(0, self._ledger.unrecorded - size)
                found += 1
            seen += 1
            if seen % _PAGE == 0:
                await self._clock.sleep(_PAUSE)
        self._ledger.unrecorded = 0
        return found

    async def _measure(self) -> int:
        """Sum up what is here, where the database was lost: it takes room before its rows are back."""
        size = 0
        async for _, found in self._store.blobs():
            size += found
        return size

    async def _forget_lost(self) -> int:
        """Forget rows without a blob: a fill records a blob after it is stored, so none of them is new."""
        lost, last = 0, None
        while page := self._recorded.stored_after(last, _PAGE):
            for digest in await self._store.missing(page):
                # What was evicted meanwhile, or is just being, is not lost.
                if digest not in self._ledger.leaving and self._recorded.is_stored(digest):
                    await self._index.forget_stored(digest)
                    lost += 1
            last = page[-1]
            await self._clock.sleep(_PAUSE)
        return lost

    async def _sweep(self) -> int:
        swept = 0
        async for count in self._store.sweep(self._clock.now()):
            swept += count
            await self._clock.sleep(_PAUSE)
        return swept
