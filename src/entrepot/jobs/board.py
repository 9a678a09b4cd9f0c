"""All jobs of this cache: those of the upkeep, and the syncs of the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from entrepot.engine.tasks import Tasks
from entrepot.errors import NotHere, Refused
from entrepot.jobs.job import Job
from entrepot.jobs.sync import Syncs
from entrepot.ports.jobs import JobState

__all__ = ["Board"]


class Board:
    """Implements ``ports.jobs.Jobs``."""

    def __init__(self, jobs: Sequence[Job], syncs: Syncs, tasks: Tasks) -> None:
        self._jobs = {job.name: job for job in jobs}
        self._syncs = syncs
        self._tasks = tasks

    def keep_up(self) -> None:
        """Have all jobs run as planned."""
        for name, job in self._jobs.items():
            _ = self._tasks.spawn(job.keep_up(), f"keep up {name}")
        _ = self._tasks.spawn(self._syncs.run(), "begin syncs")

    def all(self) -> list[JobState]:
        return list(self._states())

    def find(self, name: str) -> JobState | None:
        return next((state for state in self._states() if state.name == name), None)

    async def start(self, name: str, patience: float = 0.0) -> JobState:
        state = self._named(name)
        if state.is_running:
            raise Refused(f"{name} is running already: ask again when it has ended")
        if job := self._jobs.get(name):
            await asyncio.wait([job.begin()], timeout=patience)
        else:
            self._syncs.start(name)
        return self._named(name)

    def _states(self) -> Iterator[JobState]:
        for job in self._jobs.values():
            yield job.state()
        yield from self._syncs.states()

    def _named(self, name: str) -> JobState:
        state = self.find(name)
        if state is None:
            raise NotHere(f"there is no job {name}")
        return state
