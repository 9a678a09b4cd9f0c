"""Puts what comes of a blob where it belongs: room is reserved, bytes are written, and then they are here."""

from __future__ import annotations

from entrepot.engine.budget import Budget
from entrepot.engine.intervals import Intervals
from entrepot.engine.ledger import Claim
from entrepot.ports.blobs import Spool
from entrepot.ports.upstream import Inflow

__all__ = ["Landing"]

_AHEAD = 8 << 20
"""How many bytes ahead a blob of unknown size reserves."""


class Landing:
    """``present`` is what of the blob is here.  What is once here is never written again.

    It is being hashed, or has been: whatever an upstream sent in its place would not be what was verified.
    """

    def __init__(self, spool: Spool, claim: Claim, budget: Budget) -> None:
        self.present = Intervals(spool.present)
        self._spool = spool
        self._claim = claim
        self._budget = budget
        claim.begin(self.present.total())

    async def reserve(self, size: int, whole: int | None) -> None:
        """Have room for ``size`` bytes in all, of a blob that has ``whole``, as far as that is known."""
        await self._budget.reserve(self._claim, size, whole)

    async def write(self, offset: int, chunk: bytes, whole: int | None) -> None:
        """Write what of a chunk is not here; raises ``StoreFailed``."""
        for start, stop in list(self.present.gaps(offset, offset + len(chunk))):
            await self._make_room(stop - start, whole)
            await self._spool.write(start, chunk[start - offset : stop - offset])
            self._land(start, stop)

    async def receive(self, offset: int, inflow: Inflow, most: int, whole: int | None) -> int:
        """Write what comes next of a download, and return how far it got; raises ``StoreFailed``."""
        start, stop = next(self.present.gaps(offset, offset + most), (offset + most, 0))
        if start > offset:
            return await self._spool.skip(inflow, start - offset)
        await self._make_room(stop - start, whole)
        count = await self._spool.receive(start, inflow, stop - start)
        self._land(start, start + count)
        return count

    async def _make_room(self, size: int, whole: int | None) -> None:
        if self._claim.landed + size > self._claim.size:
            await self.reserve(self._claim.landed + max(_AHEAD, size), whole)

    def _land(self, start: int, stop: int) -> None:
        self.present.add(start, stop)
        self._claim.land(stop - start)
