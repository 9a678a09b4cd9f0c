from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator
from functools import partial

import pytest
from structlog.testing import capture_logs

from entrepot.engine.tasks import Tasks
from entrepot.errors import StoreFailed
from entrepot.jobs.job import Job, Plan, Work
from entrepot.ports.jobs import Report
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE, until

UNPLANNED = Plan()


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    tasks = Tasks(lambda _name, _failure: None)
    yield tasks
    await tasks.close()


def _job(tasks: Tasks, work: Work, plan: Plan = UNPLANNED, clock: VirtualClock | None = None) -> Job:
    return Job("count", "Counts.", work, plan, clock=clock or VirtualClock(autojump=True), tasks=tasks)


async def test_a_run_that_fails_is_logged_and_the_next_one_comes_all_the_same(tasks: Tasks) -> None:
    runs = 0
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise ValueError("a mistake")
        enough.set()

    with capture_logs() as lines:
        _ = tasks.spawn(_job(tasks, work, Plan(pause=5)).keep_up(), "keep up")
        async with asyncio.timeout(PATIENCE):
            await enough.wait()
    assert [(line["event"], line["job"], line["log_level"]) for line in lines] == [
        ("job_failed", "count", "error")
    ]


async def _begun(tasks: Tasks, *, at_once: bool) -> list[float]:
    """Return what a job slept until its first run."""
    clock, begun = VirtualClock(autojump=True), asyncio.Event()
    sleeps: list[float] = []

    async def work() -> None:
        if not begun.is_set():
            sleeps.extend(clock.sleeps)
        begun.set()

    job = _job(tasks, work, Plan(pause=5, at_once=at_once), clock)
    _ = tasks.spawn(job.keep_up(), "keep up")
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
    return sleeps


async def test_it_is_known_when_it_runs_again_as_soon_as_it_has_run(tasks: Tasks) -> None:
    clock = VirtualClock()
    now, hold = clock.now(), asyncio.Event()
    told: list[tuple[float | None, float | None]] = []

    async def work() -> None:
        await hold.wait()

    def tell(_run: asyncio.Task[Report]) -> None:
        told.append((job.state().last_ended_at, job.state().next_at))

    job = _job(tasks, work, Plan(pause=5, at_once=True), clock)
    _ = tasks.spawn(job.keep_up(), "keep up")
    for pauses in ([5], [5, 5]):
        await until(lambda: job.is_running, "a run")
        job.begin().add_done_callback(tell)
        hold.set()
        await until(partial(operator.eq, clock.sleeps, pauses), "its end")
        hold.clear()
        clock.advance(5)
    assert told == [(now, now + 5), (now + 5, now + 10)]


async def test_the_first_run_comes_after_a_while_or_at_once(tasks: Tasks) -> None:
    assert await _begun(tasks, at_once=False) == [5]
    assert await _begun(tasks, at_once=True) == []


async def test_it_tells_how_the_last_run_went_and_when_the_next_is_due(tasks: Tasks) -> None:
    clock = VirtualClock(1000.0)
    reports = [Report({"found": 3}), None]

    async def work() -> Report | None:
        clock.advance(2)
        return reports.pop(0)

    job = _job(tasks, work, Plan(pause=5), clock)
    state = job.state()
    assert (state.every_seconds, state.last, state.last_started_at) == (5, None, None)
    _ = tasks.spawn(job.keep_up(), "keep up")
    await asyncio.sleep(0)
    assert job.state().next_at == 1005
    await job.run()
    state = job.state()
    assert (state.last_started_at, state.last_ended_at, state.last) == (1000, 1002, Report({"found": 3}))
    await job.run()
    assert job.state().last == Report()


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(StoreFailed("the disk fails"), "the disk fails"), (ValueError("a mistake"), "ValueError: a mistake")],
)
async def test_a_run_that_failed_says_why(tasks: Tasks, failure: Exception, reason: str) -> None:
    async def work() -> None:
        raise failure

    job = _job(tasks, work)
    assert await job.run() == Report(failure=reason)
    assert job.state().last == Report(failure=reason)
    assert not job.is_running


async def test_a_look_that_finds_nothing_due_is_no_run(tasks: Tasks) -> None:
    clock = VirtualClock(1000.0, autojump=True)
    looks = asyncio.Semaphore(0)

    async def look() -> None:
        looks.release()

    async def work() -> Report:
        return Report({"done": 1})

    job = _job(tasks, work, Plan(pause=5, look=look, every=lambda: 60.0, due_at=lambda: 1060.0), clock)
    _ = tasks.spawn(job.keep_up(), "keep up")
    for _ in range(3):
        await looks.acquire()
    state = job.state()
    assert (state.last, state.last_started_at, state.every_seconds, state.next_at) == (None, None, 60, 1060)
    await job.run()
    assert job.state().last == Report({"done": 1})


async def test_who_asks_while_it_runs_gets_the_same_run(tasks: Tasks) -> None:
    runs, gate = 0, asyncio.Event()

    async def work() -> Report:
        nonlocal runs
        runs += 1
        await gate.wait()
        return Report({"runs": runs})

    job = _job(tasks, work)
    async with asyncio.TaskGroup() as group:
        askers = [group.create_task(job.run()) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (job.is_running, job.state().is_running, job.state().next_at) == (True, True, None)
        askers[0].cancel()
        gate.set()
    assert [asker.cancelled() for asker in askers] == [True, False, False]
    assert [asker.result() for asker in askers[1:]] == [Report({"runs": 1})] * 2
