from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from entrepot.engine.tasks import Tasks
from entrepot.engine.warms import Warms
from entrepot.errors import NotHere, Refused
from entrepot.jobs.board import Board
from entrepot.jobs.collecting import Collecting
from entrepot.jobs.job import Job, Plan, Work
from entrepot.jobs.sync import Syncs
from entrepot.ports.jobs import Report
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE


class Office:
    def __init__(self) -> None:
        self.clock = VirtualClock(autojump=True)
        self.tasks = Tasks(lambda _name, _failure: None)
        self.metrics = Metrics()
        self.gate = asyncio.Event()

    def job(self, name: str, work: Work) -> Job:
        return Job(name, "Works.", work, Plan(), clock=self.clock, tasks=self.tasks)

    def board(self, *jobs: Job) -> Board:
        # Without a plan, no sync asks for warms.
        return Board(jobs, Syncs(list, cast("Warms", None), self.clock), self.tasks)

    async def evict(self) -> Report:
        self.metrics.evictions("blob", "budget").inc(2)
        self.metrics.evicted_bytes("blob", "budget").inc(10)
        return Report({"found": 1})

    async def wait(self) -> None:
        await self.gate.wait()

    async def fail(self) -> Report:
        return Report({"found": 2}, "the disk fails")


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = Office()
    yield office
    await office.tasks.close()


async def test_a_job_is_started_once_at_a_time_and_waited_for_as_long_as_one_likes(office: Office) -> None:
    job = office.job("wait", office.wait)
    board = office.board(job)
    assert (await board.start("wait")).is_running
    with pytest.raises(Refused, match="running already"):
        await board.start("wait")
    office.gate.set()
    await job.run()
    state = await board.start("wait", patience=PATIENCE)
    assert (state.is_running, state.last) == (False, Report())


async def test_what_is_no_job_cannot_be_started(office: Office) -> None:
    board = office.board()
    assert board.find("none") is None
    with pytest.raises(NotHere, match="no job none"):
        await board.start("none")


async def test_collecting_sums_up_what_its_jobs_did_and_names_those_that_failed(office: Office) -> None:
    office.metrics.evictions("manifest", "budget").inc()  # Before, and none of it.
    jobs = [office.job(name, work) for name, work in (("evict", office.evict), ("fail", office.fail))]
    report = await Collecting(jobs, office.metrics).run()
    gone = {"bytes": 10, "blobs": 2, "manifests": 0, "spools": 0}
    assert report == Report({"found": 3, **gone}, "fail: the disk fails")


async def test_collecting_waits_for_a_run_that_is_under_way_and_begins_no_other(office: Office) -> None:
    job = office.job("wait", office.wait)
    first = job.begin()
    collecting = office.job("collect", Collecting([job], office.metrics).run)
    collected = collecting.begin()
    await asyncio.sleep(0)
    office.gate.set()
    async with asyncio.timeout(PATIENCE):
        await collected
    assert first.done()
    assert job.state().last_started_at == collecting.state().last_started_at
