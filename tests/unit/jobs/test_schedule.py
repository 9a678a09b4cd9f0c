from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from entrepot.jobs.schedule import every
from entrepot.testing.virtual_clock import VirtualClock


async def test_a_run_that_fails_is_logged_and_the_next_one_comes_all_the_same() -> None:
    runs = 0
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise ValueError("a mistake")
        enough.set()

    with capture_logs() as lines:
        job = asyncio.ensure_future(every(5, work, VirtualClock(autojump=True), "count"))
        async with asyncio.timeout(5):
            await enough.wait()
        job.cancel()
        await asyncio.wait([job])
    assert [(line["event"], line["job"], line["log_level"]) for line in lines] == [
        ("job_failed", "count", "error")
    ]
    assert job.cancelled()


async def _begun(*, at_once: bool) -> list[float]:
    """Return what a job slept until its first run."""
    clock, begun = VirtualClock(autojump=True), asyncio.Event()

    sleeps: list[float] = []

    async def work() -> None:
        if not begun.is_set():
            sleeps.extend(clock.sleeps)
        begun.set()

    job = asyncio.ensure_future(every(5, work, clock, "begin", at_once=at_once))
    async with asyncio.timeout(5):
        await begun.wait()
    job.cancel()
    await asyncio.wait([job])
    return sleeps


async def test_the_first_run_comes_after_a_while_or_at_once() -> None:
    assert await _begun(at_once=False) == [5]
    assert await _begun(at_once=True) == []
