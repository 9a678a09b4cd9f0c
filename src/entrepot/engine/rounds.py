"""Scrubs all content again and again, at a bounded rate, and goes on where an earlier process stopped."""

from __future__ import annotations

import math
from collections import Counter

import msgspec
from msgspec import Struct

from entrepot.engine.scrub import Finding, Kind, Scrub, ScrubbedMetadata, Verdict
from entrepot.errors import MetadataFailed, StoreFailed
from entrepot.oci.digest import Digest
from entrepot.ports.blobs import BlobStore, Bookmark
from entrepot.ports.clock import Clock
from entrepot.ports.jobs import Report
from entrepot.telemetry.log import log
from entrepot.telemetry.metrics import Metrics

__all__ = ["Rounds", "RoundsPlan"]

_SECONDS_BETWEEN_MARKS = 60.0
_SHORTEST_PAUSE = 0.005


class RoundsPlan(Struct, frozen=True):
    """``rate`` is in bytes a second, ``every`` the seconds from the begin of a round to that of the next.

    Where that is 0, rounds begin only when they are asked for, and none is gone on with.
    """

    rate: int
    every: float


class _Mark(Struct, frozen=True):
    """How far a round has got: beyond the blob ``after``, or to its end."""

    begun_at: float = 0.0
    after: Digest | None = None
    is_over: bool = True


class Rounds:
    """A round is the manifests, then the blobs; its place is kept in ``bookmark``."""

    def __init__(
        self,
        store: BlobStore,
        metadata: ScrubbedMetadata,
        bookmark: Bookmark,
        clock: Clock,
        metrics: Metrics,
        *,
        plan: RoundsPlan,
    ) -> None:
        self._scrub = Scrub(store, metadata, self._pause)
        self._bookmark = bookmark
        self._plan = plan
        self._clock = clock
        self._metrics = metrics
        for verdict in Verdict:  # From nothing to the first is an increase too: see ``Family``.
            for kind in Kind:
                metrics.scrubbed(kind, verdict)
        self._mark = self._read()
        self._marked_at = -math.inf

    async def run(self) -> Report:
        """Go on with a round that was interrupted, else begin one, due or not."""
        mark = self._mark
        return await self._go_on(_Mark(self._clock.now(), is_over=False) if mark.is_over else mark)

    async def run_when_due(self) -> Report | None:
        """Go on with a round that was interrupted, or begin the next when its time has come."""
        due_at = self.due_at()
        return await self.run() if due_at is not None and due_at <= self._clock.now() else None

    def interval(self) -> float | None:
        """Tell how many seconds lie between the begins of two rounds; ``None`` where there are none."""
        return self._plan.every or None

    def due_at(self) -> float | None:
        """Tell when the next round begins, or the last goes on, in epoch seconds."""
        mark, now = self._mark, self._clock.now()
        if not self._plan.every:
            return None
        is_waiting = mark.is_over and mark.begun_at <= now
        return max(now, mark.begun_at + self._plan.every) if is_waiting else now

    async def _go_on(self, mark: _Mark) -> Report:
        found = Counter[Verdict]()
        try:
            if mark.after is None:
                async for finding in self._scrub.manifests():
                    found[self._noted(finding)] += 1
            async for finding in self._scrub.blobs(mark.after):
                found[self._noted(finding)] += 1
                await self._keep(_Mark(mark.begun_at, finding.digest, is_over=False))
            await self._keep(_Mark(mark.begun_at))
        except (StoreFailed, MetadataFailed) as failure:
            log.warning("scrub_interrupted", reason=str(failure))
            return Report(failure=str(failure))
        self._metrics.scrubs().inc()
        counts = {verdict.value: found[verdict] for verdict in Verdict}
        log.info("content_scrubbed", **counts)
        return Report(counts)

    def _noted(self, finding: Finding) -> Verdict:
        self._metrics.scrubbed_bytes().inc(finding.size)
        self._metrics.scrubbed(finding.kind, finding.verdict).inc()
        if finding.verdict is Verdict.DROPPED:
            action = "dropped, to be fetched again"
            log.error(f"{finding.kind}_damaged", digest=str(finding.digest), action=action)
        elif finding.verdict is Verdict.FAILED:
            log.warning(f"{finding.kind}_unreadable", digest=str(finding.digest), reason=finding.reason)
        return finding.verdict

    async def _pause(self, read_bytes: int) -> None:
        await self._clock.sleep(max(_SHORTEST_PAUSE, read_bytes / self._plan.rate))

    def _read(self) -> _Mark:
        try:
            return msgspec.json.decode(self._bookmark.read(), type=_Mark)
        except (msgspec.DecodeError, StoreFailed):
            return _Mark()

    async def _keep(self, mark: _Mark) -> None:
        """Write the mark down at the end of a round, and now and then before: for a later process."""
        self._mark = mark
        now = self._clock.monotonic()
        if not mark.is_over and now - self._marked_at < _SECONDS_BETWEEN_MARKS:
            return
        self._marked_at = now
        try:
            await self._bookmark.write(msgspec.json.encode(mark))
        except StoreFailed as failure:
            log.warning("scrub_mark_not_kept", reason=str(failure))
