"""Makes room: content goes in the order of its priorities, in small steps, and never while it is used."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from entrepot.engine.flights import Flights
from entrepot.engine.ledger import Ledger
from entrepot.engine.uses import Uses
from entrepot.errors import MetadataFailed, StoreFailed
from entrepot.oci.digest import Digest
from entrepot.ports.blobs import BlobStore
from entrepot.ports.eviction import Candidate, EvictionIndex
from entrepot.telemetry.log import log
from entrepot.telemetry.metrics import Metrics

__all__ = ["Eviction", "Gone", "Protect", "Tally"]

_ATTEMPTS = 3
_STEP = 50
_MOST_PAGES = 400

Protect = Callable[[Sequence[Digest]], Awaitable[Collection[Digest]]]
"""Tells which of a page of candidates may not go, whatever their priority; may raise ``MetadataFailed``."""
Gone = Callable[[Collection[Digest]], None]
"""Is told of manifests that have gone."""


class Tally:
    """What has gone for one reason; ``failure`` tells why something could not, if that was so."""

    def __init__(self, reason: str, metrics: Metrics) -> None:
        self.size = 0
        self.failure: str | None = None
        self._reason = reason
        self._counts: Counter[str] = Counter()
        self._metrics = metrics

    def add(self, kind: str, size: int) -> None:
        self.size += size
        self._counts[f"{kind}s"] += 1
        self._metrics.evictions(kind, self._reason).inc()
        self._metrics.evicted_bytes(kind, self._reason).inc(size)

    def log(self) -> None:
        """Write one line, if anything has gone."""
        if self._counts:
            log.info("evicted", reason=self._reason, bytes=self.size, **self._counts)


class _Plan:
    """Candidates looked at: ``size`` is what all ``victims`` take; the ``spared`` are protected.

    ``is_partial``: they are some of all, which tells nothing of how far eviction has come with the rest.
    """

    def __init__(self, *, is_partial: bool) -> None:
        self._is_partial = is_partial
        self.victims: list[Candidate] = []
        self.spared: list[Candidate] = []
        self.size = 0
        self.is_all = False
        """There was nothing left to look at."""

    @property
    def reached(self) -> float:
        """Return the priority of the last that was chosen."""
        return -math.inf if self._is_partial else (self.victims or self.spared)[-1].priority


class Eviction:
    """One pass at a time; ``protect`` and ``gone`` may be replaced by whom it concerns."""

    def __init__(
        self, store: BlobStore, index: EvictionIndex, ledger: Ledger, uses: Uses, metrics: Metrics
    ) -> None:
        self.protect: Protect = _protect_nothing
        self.gone: Gone = lambda _digests: None
        self._store = store
        self._index = index
        self._ledger = ledger
        self._uses = uses
        self._metrics = metrics
        self._turn = asyncio.Lock()
        self._steps = itertools.count()
        self._removals = Flights[int, list[Candidate]]()

    def tally(self, reason: str) -> Tally:
        return Tally(reason, self._metrics)

    async def free(self, wanted: int, tally: Tally, upstream: str | None = None) -> int:
        """Free so many bytes, and return how many it were; evict nothing where it could not be enough.

        Of an upstream, if one is named, only blobs that it is charged with.
        """
        before = tally.size
        async with self._turn:
            with _resigned(tally):
                await self._count_uses()
                await self._free_at_last(wanted, tally, upstream)
        return tally.size - before

    async def trim(self, wanted: int, tally: Tally, upstream: str | None = None) -> int:
        """Free some of so many bytes, in one small step, and return how many it were; as ``free`` does."""
        before = tally.size
        async with self._turn:
            with _resigned(tally):
                await self._count_uses()
                if upstream is not None or not await self._drop_spools(wanted, tally):
                    await self._execute(await self._plan(wanted, _STEP, upstream), tally)
        return tally.size - before

    async def remove(self, digests: Sequence[Digest], reason: str) -> Tally:
        """Remove content for a reason other than room, used or not, but what is protected or filled."""
        tally = self.tally(reason)
        async with self._turn:
            with _resigned(tally):
                for first in range(0, len(digests), _STEP):
                    step = digests[first : first + _STEP]
                    protected = await self.protect(step)
                    excepted = self._ledger.claims().union(protected)
                    known = self._index.candidates(step)
                    await self._remove([found for found in known if found.digest not in excepted], tally)
        tally.log()
        return tally

    async def drop_idle(self, before: float) -> Tally:
        """Drop the spools that nobody has written to since a moment, in epoch seconds."""
        tally = self.tally("unused")
        with _resigned(tally):
            for spool in self._ledger.idle:
                if spool.written_at < before and await self._ledger.drop(spool):
                    tally.add("spool", spool.size)
        tally.log()
        return tally

    async def close(self) -> None:
        """Wait for the step that is under way."""
        await self._removals.finish()

    async def give_back(self) -> Tally:
        """Have the index return to the disk what it no longer needs: of the cache nothing goes by that."""
        tally = self.tally("unused")
        with _resigned(tally):
            while await self._index.give_back():
                continue
        return tally

    async def _count_uses(self) -> None:
        filling = self._ledger.claims()
        await self._uses.flush(lambda digest: digest in filling)

    async def _free_at_last(self, wanted: int, tally: Tally, upstream: str | None) -> None:
        """Try again where some cannot be deleted: it is behind the rest by then."""
        before = tally.size
        for _ in range(_ATTEMPTS):
            missing = before + wanted - tally.size
            if missing <= 0 or await self._free(missing, tally, upstream):
                break

    async def _free(self, wanted: int, tally: Tally, upstream: str | None) -> bool:
        """Tell whether all that was chosen has gone."""
        idle = sum(spool.size for spool in self._ledger.idle) if upstream is None else 0
        plan = await self._plan(wanted - idle, upstream=upstream)
        if plan.is_all and idle + plan.size < wanted:
            plan.victims.clear()
        elif idle:
            await self._drop_spools(wanted, tally)
        return await self._execute(plan, tally)

    async def _drop_spools(self, wanted: int, tally: Tally) -> bool:
        """Drop spools that nobody fills, the oldest first; tell whether they were enough."""
        for spool in self._ledger.idle:
            if wanted <= 0:
                break
            if await self._ledger.drop(spool):
                tally.add("spool", spool.size)
                wanted -= spool.size
        return wanted <= 0

    async def _plan(self, wanted: int, most: int | None = None, upstream: str | None = None) -> _Plan:
        """Choose victims that take ``wanted`` bytes together, or at most so many of them."""
        plan, last = _Plan(is_partial=upstream is not None), None
        for _ in range(_MOST_PAGES):
            if plan.size >= wanted:
                break
            page = self._index.lowest(last, _STEP, upstream)
            if not page:
                plan.is_all = True
                break
            for candidate in await self._evictable(page, plan):
                if plan.size >= wanted or len(plan.victims) == most:
                    return plan
                plan.victims.append(candidate)
                plan.size += candidate.size
            last = page[-1]
            await asyncio.sleep(0)  # A page takes the event loop half a millisecond.
        return plan

    async def _evictable(self, page: list[Candidate], plan: _Plan) -> list[Candidate]:
        protected = await self.protect([candidate.digest for candidate in page])
        plan.spared += [candidate for candidate in page if candidate.digest in protected]
        excepted = self._in_use(page).union(protected)
        return [candidate for candidate in page if candidate.digest not in excepted]

    async def _execute(self, plan: _Plan, tally: Tally) -> bool:
        """Remove the victims; put what cannot be deleted behind the rest, and tell if there is none."""
        stuck: list[Candidate] = []
        for first in range(0, len(plan.victims), _STEP):
            step = plan.victims[first : first + _STEP]
            if first:  # The plan of a step this late is old enough for a pin to have been set.
                step = await self._evictable(step, plan)
            in_use = self._in_use(step)
            stuck += await self._remove([victim for victim in step if victim.digest not in in_use], tally)
        if plan.victims or plan.spared:
            await self._index.advance(plan.reached, plan.spared + stuck)
        return not stuck

    async def _remove(self, victims: list[Candidate], tally: Tally) -> list[Candidate]:
        """Remove content, and return what cannot be; ended once begun, whoever waits for it."""
        step = next(self._steps)
        return await self._removals.join(step, lambda: self._remove_step(victims, tally))

    async def _remove_step(self, victims: list[Candidate], tally: Tally) -> list[Candidate]:
        leaving = {victim.digest for victim in victims}
        self._ledger.leaving |= leaving
        try:
            return await self._remove_files_and_rows(victims, tally)
        finally:
            self._ledger.leaving -= leaving

    async def _remove_files_and_rows(self, victims: list[Candidate], tally: Tally) -> list[Candidate]:
        """Remove files before rows: a row without a file is only a miss, and goes with the next pass."""
        stuck, failure = [], None
        for victim in victims:
            try:
                if not victim.is_manifest:
                    await self._store.delete(victim.digest)
            except StoreFailed as failed:
                stuck.append(victim)
                failure = failed
        if failure is not None:
            tally.failure = str(failure)
            log.warning("blobs_not_deleted", count=len(stuck), reason=str(failure))
        evicted = await self._index.evict([victim for victim in victims if victim not in stuck])
        self.gone({victim.digest for victim in evicted if victim.is_manifest})
        for victim in evicted:
            tally.add("manifest" if victim.is_manifest else "blob", victim.size)
            if victim.is_manifest:
                self._ledger.credit(victim.size)
        return stuck

    def _in_use(self, candidates: list[Candidate]) -> set[Digest]:
        """Return what is being filled, or was used since uses were counted."""
        filling = self._ledger.claims()
        digests = (candidate.digest for candidate in candidates)
        return {digest for digest in digests if digest in filling or digest in self._uses}


async def _protect_nothing(_digests: Sequence[Digest]) -> Collection[Digest]:
    return ()


@contextmanager
def _resigned(tally: Tally) -> Iterator[None]:
    """Leave at what was done so far where the disk or the database fails, and note that it did."""
    try:
        yield
    except (StoreFailed, MetadataFailed) as failure:
        tally.failure = str(failure)
        log.warning("eviction_failed", reason=str(failure))
