"""Work that nobody waits for, run again and again or when somebody asks for it, never twice at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from msgspec import Struct

from entrepot.engine.tasks import Tasks
from entrepot.errors import EntrepotError
from entrepot.ports.clock import Clock
from entrepot.ports.jobs import JobState, Report
from entrepot.telemetry.log import log

__all__ = ["Job", "Plan", "Work"]

Work = Callable[[], Awaitable[Report | None]]


def _unknown() -> float | None:
    return None


class Plan(Struct, frozen=True, kw_only=True):
    """When a job runs, beyond whenever it is asked to.

    Every ``pause`` seconds, which come on top of the time it takes, ``look`` runs what is due, and
    returns ``None`` where nothing is; without it all runs.  The first time is ``at_once``, or after a pause.
    ``every`` and ``due_at`` tell people more than that: how many seconds lie between runs, and when the
    next is due.
    """

    pause: float | None = None
    at_once: bool = False
    look: Work | None = None
    every: Callable[[], float | None] = _unknown
    due_at: Callable[[], float | None] = _unknown


class Job:
    def __init__(
        self, name: str, description: str, work: Work, plan: Plan, *, clock: Clock, tasks: Tasks
    ) -> None:
        self.name = name
        self._description = description
        self._work = work
        self._plan = plan
        self._clock = clock
        self._tasks = tasks
        self._run: asyncio.Task[Report] | None = None
        self._started_at: float | None = None
        self._ended_at: float | None = None
        self._last: Report | None = None
        self._looks_at: float | None = None

    @property
    def is_running(self) -> bool:
        return self._run is not None

    async def keep_up(self) -> None:
        """Run as planned, until cancelled."""
        if self._plan.pause is None:
            return
        if not self._plan.at_once:
            await self._rest(self._plan.pause)
        while True:
            await asyncio.shield(self._run or self._begin(self._look))
            await self._rest(self._plan.pause)

    async def run(self) -> Report:
        """Run now, or wait for the run that is under way; tell what came of it."""
        return await asyncio.shield(self.begin())

    def begin(self) -> asyncio.Task[Report]:
        """Run now, if it does not run; the task is that of the run."""
        return self._run or self._begin(self._do)

    def state(self) -> JobState:
        plan = self._plan
        is_planned = plan.look is None
        return JobState(
            name=self.name,
            description=self._description,
            every_seconds=plan.pause if is_planned else plan.every(),
            is_running=self.is_running,
            last_started_at=self._started_at,
            last_ended_at=self._ended_at,
            last=self._last,
            next_at=None if self.is_running else self._looks_at if is_planned else plan.due_at(),
        )

    def _begin(self, do: Work) -> asyncio.Task[Report]:
        self._run = self._tasks.spawn(self._execute(do), self.name)
        return self._run

    async def _execute(self, do: Work) -> Report:
        """Be the outermost frame of a run: the job goes on whatever it was that failed."""
        before, self._started_at = self._started_at, self._clock.now()
        report: Report | None = None
        try:
            report = await do()
        except EntrepotError as failure:
            log.error("job_failed", job=self.name, reason=str(failure))
            report = Report(failure=str(failure))
        except Exception as failure:  # noqa: BLE001 - the outermost frame of a run.
            log.exception("job_failed", job=self.name)
            report = Report(failure=f"{type(failure).__name__}: {failure}")
        finally:
            self._run = None
            if report is None:
                self._started_at = before
        if report is None:
            return Report()
        self._ended_at, self._last = self._clock.now(), report
        if self._plan.pause is not None and (self._looks_at is None or self._looks_at <= self._ended_at):
            self._looks_at = self._ended_at + self._plan.pause  # Who keeps it up rests from here on.
        return report

    async def _do(self) -> Report:
        return await self._work() or Report()

    async def _look(self) -> Report | None:
        return await (self._plan.look or self._do)()

    async def _rest(self, seconds: float) -> None:
        self._looks_at = self._clock.now() + seconds
        await self._clock.sleep(seconds)
