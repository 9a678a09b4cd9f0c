"""The fills that run now: at most one for a digest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from entrepot.engine.budget import Budget
from entrepot.engine.fetch import Source
from entrepot.engine.fill import Fill, FillParts
from entrepot.engine.flights import Flights
from entrepot.engine.passthrough import NoSpool
from entrepot.engine.tasks import Tasks
from entrepot.errors import StoreFailed
from entrepot.oci.digest import Digest
from entrepot.ports.blobs import BlobStore, Spool
from entrepot.ports.clock import Clock
from entrepot.telemetry.metrics import Metrics
from entrepot.telemetry.trace import Span, trace

__all__ = ["Fills"]


class Fills:
    """Opens a fill when somebody wants a blob, shares it, and closes it when it has nothing left to do."""

    def __init__(
        self,
        store: BlobStore,
        budget: Budget,
        clock: Clock,
        tasks: Tasks,
        stored: Callable[[Digest, int], Awaitable[None]],
        *,
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._parts = FillParts(store, budget, clock, tasks, stored, self._settled)
        self._spans: dict[Fill, Span] = {}
        self._fills: dict[Digest, Fill] = {}
        self._over: set[Fill] = set()
        self._openings = Flights[Digest, Fill]()
        self._closings = Flights[Fill, None]()

    def __len__(self) -> int:
        return len(self._fills)

    def all(self) -> list[Fill]:
        """Return those that run now."""
        return list(self._fills.values())

    def running(self, digest: Digest) -> Fill | None:
        return self._fills.get(digest)

    async def join(self, source: Source, size: int | None) -> Fill:
        """Enter the fill of the source's blob, begun now if none runs; whoever joins leaves.

        ``size`` is what a manifest says, and ``source`` one more place to get the blob from.
        """
        fill = await self._running(source, size)
        fill.readers += 1
        if source not in fill.sources:
            fill.sources.append(source)
        return fill

    def leave(self, fill: Fill) -> None:
        fill.readers -= 1
        self._settled(fill)

    async def close(self) -> None:
        """Close all fills, each left to be resumed; their tasks must have been ended before."""
        await self._openings.close()
        await self._closings.finish()
        for fill in [*self._fills.values(), *self._over]:
            await fill.close()

    async def _running(self, source: Source, size: int | None) -> Fill:
        while (fill := self._fills.get(source.digest)) is None:
            opening = self._openings.launch(source.digest, lambda: self._open(source, size))
            try:
                await asyncio.shield(opening)
            except asyncio.CancelledError:
                opening.add_done_callback(self._abandon)
                raise
        return fill

    def _abandon(self, opening: asyncio.Task[Fill]) -> None:
        """Close a fill whose opener left: whoever else waited for it opens it again."""
        if not opening.cancelled() and opening.exception() is None:
            self._settled(opening.result())

    async def _open(self, source: Source, size: int | None) -> Fill:
        closings = [closing for fill, closing in self._closings.in_air() if fill.digest == source.digest]
        if closings:
            await asyncio.wait(closings)
        claim = await self._parts.budget.claim(source.digest, source.repository.upstream)
        fill = Fill(source, await self._spool(source.digest), size, claim, self._parts)
        self._fills[fill.digest] = fill
        upstream = source.repository.upstream
        if (span := trace.begin("fill")) is not None:
            self._spans[fill] = span
        self._metrics.fills(upstream, "started").inc()
        self._metrics.fills_running(upstream).inc()
        return fill

    async def _spool(self, digest: Digest) -> Spool:
        try:
            return await self._parts.store.spool(digest)
        except StoreFailed:
            return NoSpool()

    def _settled(self, fill: Fill) -> None:
        """Let go of a fill that is over, close one that nobody needs."""
        is_current = self._fills.get(fill.digest) is fill
        if is_current and (fill.is_over or fill.is_idle):
            del self._fills[fill.digest]
            self._over.add(fill)
            upstream = fill.sources[0].repository.upstream
            self._end_span(fill, upstream)
            self._metrics.fills(upstream, fill.outcome).inc()
            self._metrics.fills_running(upstream).dec()
        if fill in self._over and fill.is_idle:
            self._over.remove(fill)
            _ = self._closings.launch(fill, fill.close)

    def _end_span(self, fill: Fill, upstream: str) -> None:
        span = self._spans.pop(fill, None)
        if span is not None:
            attributes = {"entrepot.upstream": upstream, "entrepot.reference": str(fill.digest)}
            span.end(fill.outcome if fill.outcome == "failed" else None, **attributes)
