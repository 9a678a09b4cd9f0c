"""The jobs that keep a cache in order: what each is for, and when it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Protocol

from msgspec import Struct

from entrepot.config.schema import Settings
from entrepot.engine.budget import Budget
from entrepot.engine.cleaning import Cleaning
from entrepot.engine.expiry import Expiry
from entrepot.engine.ledger import Ledger
from entrepot.engine.manifests import Manifests
from entrepot.engine.reconcile import Reconciliation, SweptStore
from entrepot.engine.rounds import Rounds, RoundsPlan
from entrepot.engine.scrub import ScrubbedMetadata
from entrepot.engine.tasks import Tasks
from entrepot.engine.warms import Warms
from entrepot.jobs.board import Board
from entrepot.jobs.collecting import Collecting
from entrepot.jobs.job import Job, Plan, Work
from entrepot.jobs.mending import Mending
from entrepot.jobs.sync import Syncs, planned
from entrepot.ports.blobs import Bookmark
from entrepot.ports.clock import Clock
from entrepot.ports.eviction import LeftBehind
from entrepot.ports.jobs import Report
from entrepot.ports.metadata import Mendable, StoredBlobs
from entrepot.telemetry.metrics import Metrics

__all__ = ["COLLECT", "Upkeep"]

COLLECT = "collect"
_FLUSH_SECONDS, _EXPIRE_SECONDS, _MEND_SECONDS = 5.0, 1.0, 5.0
_SCRUB_SECONDS = 600.0
_AUDIT_SECONDS = 3600.0
_RECONCILE_SECONDS = 6 * 3600.0


class KeptMetadata(ScrubbedMetadata, StoredBlobs, LeftBehind, Mendable, Protocol):
    """What is kept in order of the metadata."""


class Upkeep(Struct, frozen=True, kw_only=True):
    """What the jobs work with; ``settings`` gives those in force."""

    budget: Budget
    expiry: Expiry
    manifests: Manifests
    warms: Warms
    store: SweptStore
    metadata: KeptMetadata
    ledger: Ledger
    scrub_mark: Bookmark
    flush_uses: Callable[[], Awaitable[Report | None]]
    tidy_audit: Callable[[], Awaitable[None]]
    metrics: Metrics
    clock: Clock
    tasks: Tasks
    settings: Callable[[], Settings]

    def board(self) -> Board:
        syncs = Syncs(lambda: planned(self.settings()), self.warms, self.clock)
        return Board(list(self._jobs()), syncs, self.tasks)

    def _jobs(self) -> Iterator[Job]:
        reconciliation = Reconciliation(self.store, self.metadata, self.metadata, self.ledger, self.clock)
        meaning = "Records what was used, and manifests that could not be recorded when they came."
        flush = self._job("flush-uses", meaning, self.flush_uses, Plan(pause=_FLUSH_SECONDS))
        due = (self._expire(), self._reconcile(reconciliation), self._clean(), self._keep_budget())
        yield from (flush, *due, self._mend(reconciliation), self._scrub(), self._tidy_audit())
        collecting = Collecting(due, self.metrics)
        meaning = "Runs the jobs that remove what is due to go, one after the other."
        yield self._job(COLLECT, meaning, collecting.run, Plan())

    def _keep_budget(self) -> Job:
        meaning = "Evicts what is used least, where there is too little room, and drops stale downloads."
        return self._job("keep-budget", meaning, self.budget.tidy, Plan(pause=_FLUSH_SECONDS))

    def _expire(self) -> Job:
        expiry = self.expiry
        plan = Plan(
            pause=_EXPIRE_SECONDS, look=expiry.run_when_due, every=expiry.interval, due_at=expiry.due_at
        )
        meaning = "Removes what retention keeps no longer."
        return self._job("expire-content", meaning, expiry.run, plan)

    def _reconcile(self, reconciliation: Reconciliation) -> Job:
        plan = Plan(pause=_RECONCILE_SECONDS, at_once=True)
        meaning = "Compares what is recorded with what is stored, and drops what is nobody's."
        return self._job("reconcile-blobs", meaning, reconciliation.run, plan)

    def _clean(self) -> Job:
        meaning = "Forgets what the metadata know of content that is gone."
        cleaning = Cleaning(self.metadata, self.clock)
        return self._job("clean-metadata", meaning, cleaning.run, Plan(pause=_RECONCILE_SECONDS))

    def _mend(self, reconciliation: Reconciliation) -> Job:

        async def rebuild() -> None:
            self.manifests.note_loss()
            await reconciliation.run()

        mending = Mending(self.metadata, rebuild)
        meaning = "Looks for damage in the database, and begins a new one in its place."
        plan = Plan(pause=_MEND_SECONDS, at_once=True, look=mending.look)
        return self._job("mend-database", meaning, mending.run, plan)

    def _scrub(self) -> Job:
        scrub = self.settings().cache.scrub
        pace = RoundsPlan(scrub.rate, scrub.every)
        rounds = Rounds(self.store, self.metadata, self.scrub_mark, self.clock, self.metrics, plan=pace)
        plan = Plan(
            pause=_SCRUB_SECONDS,
            at_once=True,
            look=rounds.run_when_due,
            every=rounds.interval,
            due_at=rounds.due_at,
        )
        meaning = "Reads all content again, and drops what the disk has changed."
        return self._job("scrub-content", meaning, rounds.run, plan)

    def _tidy_audit(self) -> Job:
        meaning = "Removes what is kept no longer of the audit log."
        return self._job("tidy-audit", meaning, self.tidy_audit, Plan(pause=_AUDIT_SECONDS))

    def _job(self, name: str, meaning: str, work: Work, plan: Plan) -> Job:
        return Job(name, meaning, work, plan, clock=self.clock, tasks=self.tasks)
