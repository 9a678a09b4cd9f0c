"""What the cache takes of its disk, and what was promised to fills: the one account of both."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from entrepot.engine.flights import Flights
from entrepot.engine.lookup import found
from entrepot.oci.digest import Digest
from entrepot.policy.budget import Usage
from entrepot.ports.clock import Clock
from entrepot.ports.disk import Disk, IdleSpool, Space
from entrepot.ports.eviction import EvictionIndex, Stored

__all__ = ["Claim", "Ledger"]

_GROWTH = 1 << 20
"""What lies beside the content, the database's log and the audit log, grows by less between two surveys."""


class Claim:
    """The bytes that one spool may take: ``size`` in all, of which ``landed`` are written."""

    __slots__ = ("digest", "landed", "size", "upstream")

    def __init__(self, digest: Digest, upstream: str) -> None:
        self.digest = digest
        self.upstream = upstream
        self.landed = 0
        self.size = 0

    def begin(self, landed: int) -> None:
        """Count what an earlier process has left."""
        self.size = self.landed = landed

    def land(self, count: int) -> None:
        self.landed += count

    def settle(self) -> None:
        """Want no more than what is written."""
        self.size = self.landed

    def end(self) -> None:
        """Count nothing more: the spool has become a blob, or is gone."""
        self.size = self.landed = 0


class Ledger:
    """Counts blobs as they are recorded, spools by their claims, all else as the last survey found it."""

    def __init__(self, disk: Disk, index: EvictionIndex, clock: Clock) -> None:
        self._disk = disk
        self._index = index
        self._clock = clock
        self._claims: set[Claim] = set()
        self._idle: dict[Digest, IdleSpool] = {}
        self._touched: set[Digest] = set()
        """Spools that were opened, closed or dropped since the last survey began."""
        self._drops = Flights[Digest, None]()
        self.leaving: set[Digest] = set()
        """Content that is being removed: its file may be gone while its row is not."""
        self._beside = self._growth = 0
        self._stored = Stored(0, 0)
        self._charges: Mapping[str, int] = {}
        self.unrecorded = 0
        """Bytes of blobs that are here and that no row tells of, until files and rows are compared."""

    @property
    def stored(self) -> Stored:
        self._stored = found(self._index.stored) or self._stored
        return self._stored

    @property
    def evictable(self) -> int:
        """Return how many bytes could go, if nothing were in use or protected."""
        return self.stored.size + sum(spool.size for spool in self._idle.values())

    @property
    def idle(self) -> list[IdleSpool]:
        """The spools that nobody fills, the oldest first."""
        return sorted(self._idle.values(), key=lambda spool: spool.written_at)

    def space(self) -> Space:
        """Tell the room on the disk; raises ``StoreFailed``."""
        return self._disk.space()

    def usage(self, free: int) -> Usage:
        """Sum up, where the disk has ``free`` bytes left."""
        claimed = sum(claim.size for claim in self._claims)
        promised = claimed - sum(claim.landed for claim in self._claims) + self._growth
        held = self.evictable + claimed + self._beside + self._growth + self.unrecorded
        return Usage(held, promised, free)

    def claims(self) -> set[Digest]:
        """Return what is being filled."""
        return {claim.digest for claim in self._claims}

    @property
    def charges(self) -> Mapping[str, int]:
        """What the blobs of each upstream take."""
        self._charges = found(self._index.charges) or self._charges
        return self._charges

    def charge(self, upstream: str) -> int:
        """Return what the blobs of an upstream take, and what its fills may."""
        claimed = sum(claim.size for claim in self._claims if claim.upstream == upstream)
        return self.charges.get(upstream, 0) + claimed

    async def open(self, digest: Digest, upstream: str) -> Claim:
        """Begin to count a spool that is about to be opened; one that is just being dropped is waited for."""
        for dropped, drop in self._drops.in_air():
            if dropped == digest:
                await asyncio.wait([drop])
        claim = Claim(digest, upstream)
        self._claims.add(claim)
        self._touched.add(digest)
        self._idle.pop(digest, None)
        return claim

    def close(self, claim: Claim) -> None:
        """Count what is left of a spool that was closed as idle."""
        self._claims.remove(claim)
        if claim.landed:
            self._idle[claim.digest] = IdleSpool(claim.digest, claim.landed, self._clock.now())

    async def drop(self, spool: IdleSpool) -> bool:
        """Remove a spool, unless it is being filled again; raises ``StoreFailed``."""
        if self._idle.pop(spool.digest, None) is None:
            return False
        self._touched.add(spool.digest)
        await self._drops.join(spool.digest, lambda: self._disk.drop_spool(spool.digest))
        return True

    def credit(self, size: int) -> None:
        """Count less, by what will be given back of what lies beside the content."""
        self._beside -= size

    async def survey(self) -> None:
        """Measure what is counted nowhere else; raises ``StoreFailed``."""
        self._touched = self.claims()
        survey = await self._disk.survey()
        known = {digest: spool for digest, spool in self._idle.items() if digest in self._touched}
        seen = {spool.digest: spool for spool in survey.spools if spool.digest not in self._touched}
        self._beside, self._growth, self._idle = survey.beside, _GROWTH, known | seen

    async def finish(self) -> None:
        """Wait for what is being dropped."""
        await self._drops.finish()
