"""Keeps what is held within its bounds: a fill asks before it grows, and a pass behind the answers trims."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from entrepot.engine.eviction import Eviction, Tally
from entrepot.engine.ledger import Claim, Ledger
from entrepot.engine.tasks import Tasks
from entrepot.errors import DiskFull, StoreFailed
from entrepot.oci.digest import Digest
from entrepot.policy.budget import (
    Bounds,
    Usage,
    allowance,
    excess,
    is_slow_to_show,
    share_shortage,
    shortage,
)
from entrepot.ports.clock import Clock
from entrepot.ports.jobs import Report
from entrepot.telemetry.log import log
from entrepot.telemetry.metrics import Metrics

__all__ = ["BoundsOn", "Budget", "Holdings"]

_LONGEST_WAIT = 30.0
_LONGEST_IDLE = 7 * 86400.0
_REST = 60.0
"""Seconds that a file system may take to show as free what was deleted: btrfs and ZFS commit in between."""

BoundsOn = Callable[[int], Bounds]
"""Makes the bounds for a disk of so many bytes."""


class _Pass(NamedTuple):
    """One for room on the disk: how much was written and free before it, and what it deleted, in bytes."""

    room: int
    deleted: int
    ended_at: float


_NO_PASS = _Pass(0, 0, 0.0)


class Holdings(Struct, frozen=True):
    """What the cache takes of its disk and may take, and what is ``free`` there, in bytes.

    Past the ``watermark`` eviction begins.
    """

    held: int
    allowed: int
    watermark: int
    free: int
    blobs: int


class Budget:
    """Admits what fits, making room for it; ``tidy`` is called every few seconds."""

    def __init__(
        self, ledger: Ledger, eviction: Eviction, tasks: Tasks, clock: Clock, bounds_on: BoundsOn
    ) -> None:
        self._ledger = ledger
        self._eviction = eviction
        self._tasks = tasks
        self._clock = clock
        self._bounds_on = bounds_on
        self._turn = asyncio.Lock()
        self._is_trimming = False
        self._is_stuck = False
        """The last pass came to an end before its goal: the next is not begun by a fill."""
        self._is_exceeded = False
        self._last_pass = _NO_PASS

    def trim(self) -> None:
        """See to it that what is beyond the bounds, which may have changed, goes behind the answers."""
        self._is_stuck = False
        self._last_pass = _NO_PASS
        self._trim_behind()

    async def claim(self, digest: Digest, upstream: str) -> Claim:
        """Begin to count a spool that is about to be opened, with nothing reserved for it."""
        return await self._ledger.open(digest, upstream)

    def release(self, claim: Claim) -> None:
        """Count a spool that was closed no longer, or as idle where it can be resumed."""
        self._ledger.close(claim)

    async def reserve(self, claim: Claim, size: int, whole: int | None) -> None:
        """Let a spool grow to ``size`` bytes, evicting others where it has to be.

        ``whole`` is the size of its blob, where that is known: one that cannot be kept is not begun,
        and nothing is evicted for it.  Raises ``StoreFailed`` where there is no room.
        """
        if size <= claim.size:
            return
        self._refuse_hopeless(claim, size if whole is None else whole)
        wanted = size - claim.size
        if self._turn.locked() or self._shortage(wanted) or self._share_shortage(claim.upstream, wanted):
            await self._make_room(claim, size)
        claim.size = max(claim.size, size)
        self._trim_behind()

    async def tidy(self) -> Report:
        """Look how things are, and trim; what fails of it keeps nothing else from being done."""
        tallies = [await self._eviction.give_back()]
        await self._ledger.survey()
        tallies.append(await self._eviction.drop_idle(self._clock.now() - _LONGEST_IDLE))
        tallies += await self._trim_shares()
        tallies.append(await self._trim())
        failures = dict.fromkeys(tally.failure for tally in tallies if tally.failure is not None)
        return Report(failure="; ".join(failures) or None)

    def holdings(self) -> Holdings:
        """Tell how much is held, of how much; raises ``StoreFailed``."""
        usage, bounds = self._state()
        held, allowed = usage.held - usage.promised, allowance(usage, bounds)
        watermark = math.floor(bounds.high * allowed)
        return Holdings(held, allowed, watermark, usage.free, self._ledger.stored.blobs)

    def observe(self, metrics: Metrics) -> None:
        """Set the gauges."""
        with suppress(StoreFailed):
            holdings = self.holdings()
            metrics.cache_bytes().set(holdings.held)
            metrics.cache_limit().set(holdings.allowed)
            metrics.cache_watermark().set(holdings.watermark)
            metrics.cache_blobs().set(holdings.blobs)
        for upstream, size in self._ledger.charges.items():
            metrics.upstream_blob_bytes(upstream).set(size)

    def _state(self, room: int = 0) -> tuple[Usage, Bounds]:
        """Tell what is held; of ``room`` that is not written on, all is free, shown as such or not yet."""
        space = self._ledger.space()
        usage = self._ledger.usage(space.free)
        usage = replace(usage, free=max(usage.free, room - usage.written))
        return usage, self._bounds_on(space.total)

    def _room(self) -> int:
        """Return what is written and what is free together: a file system may be slow to count as free."""
        usage, _ = self._state()
        return usage.written + usage.free

    def _shortage(self, wanted: int) -> int:
        return shortage(*self._state(), wanted)

    def _share_shortage(self, upstream: str, wanted: int) -> int:
        return share_shortage(self._ledger.charge(upstream), self._shares().get(upstream), wanted)

    def _shares(self) -> Mapping[str, int]:
        return self._bounds_on(self._ledger.space().total).shares

    def _refuse_hopeless(self, claim: Claim, whole: int) -> None:
        """Raise ``DiskFull`` for what would not fit even if all else that can go went."""
        usage, bounds = self._state()
        if shortage(usage, bounds, whole - claim.size) > self._ledger.evictable:
            allowed = allowance(usage, bounds)
            raise DiskFull(f"no room for {whole} bytes of {claim.digest}: {allowed} may be held in all")
        if share_shortage(0, bounds.shares.get(claim.upstream), whole):
            raise DiskFull(f"{claim.digest} has {whole} bytes, more than the share of {claim.upstream}")

    async def _make_room(self, claim: Claim, size: int) -> None:
        try:
            async with asyncio.timeout(_LONGEST_WAIT), self._turn:
                await self._evict_for(claim, size)
        except TimeoutError:
            raise DiskFull(f"no room was made for {claim.digest} within {_LONGEST_WAIT:.0f} s") from None

    async def _evict_for(self, claim: Claim, size: int) -> None:
        """Evict what is short now; that a file system is slow to free it is no reason to evict more."""
        wanted = size - claim.size
        over = self._share_shortage(claim.upstream, wanted)
        is_freed = await self._evict(over, "share", claim.upstream)
        if not (is_freed and await self._evict(self._shortage(wanted), self._reason())):
            raise DiskFull(f"no room for {size} bytes of {claim.digest}: all else is in use")
        claim.size = max(claim.size, size)

    async def _evict(self, short: int, reason: str, upstream: str | None = None) -> bool:
        """Evict what is short; tell whether there was enough that may go."""
        tally = self._eviction.tally(reason)
        try:
            while tally.size < short:
                if not await self._eviction.free(short - tally.size, tally, upstream):
                    return False
        finally:
            tally.log()
        return True

    def _trim_behind(self) -> None:
        if not self._is_trimming and not self._is_stuck and excess(*self._state()):
            _ = self._tasks.spawn(self._trim(), "trim")

    async def _trim(self) -> Tally:
        reason, room = self._reason(), self._room()
        tally = self._eviction.tally(reason)
        if self._is_trimming or self._is_resting():
            return tally
        self._is_trimming = True
        try:
            while too_much := excess(*self._state(room), is_under_way=tally.size > 0):
                self._is_stuck = not await self._eviction.trim(too_much, tally)
                if self._is_stuck:
                    break
        finally:
            self._is_trimming = False
            tally.log()
        if reason == "disk":
            self._last_pass = _Pass(room, tally.size, self._clock.monotonic())
        self._note_exceeded()
        return tally

    def _is_resting(self) -> bool:
        """Tell whether what the last pass deleted may be all that is missing, and is yet to show as free.

        To be asked anew each time: what is being written is not counted for a moment.
        """
        room, deleted, ended_at = self._last_pass
        is_over = self._clock.monotonic() >= ended_at + _REST
        return not is_over and is_slow_to_show(deleted, room - self._room())

    async def _trim_shares(self) -> list[Tally]:
        """Evict what upstreams hold beyond their shares: those may have become smaller."""
        tallies = []
        for upstream in self._shares():
            tally = self._eviction.tally("share")
            tallies.append(tally)
            while (over := self._share_shortage(upstream, 0)) > 0:
                if not await self._eviction.trim(over, tally, upstream):
                    break
            tally.log()
        return tallies

    def _note_exceeded(self) -> None:
        """Complain, once, where nothing more can go and the bounds are exceeded all the same."""
        usage, bounds = self._state()
        was_exceeded, self._is_exceeded = self._is_exceeded, shortage(usage, bounds, 0) > 0
        if self._is_exceeded and not was_exceeded:
            log.warning("budget_exceeded", held=usage.held, allowed=allowance(usage, bounds))

    def _reason(self) -> str:
        usage, bounds = self._state()
        return "budget" if allowance(usage, bounds) == bounds.max_size else "disk"
