from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Iterator

import pytest

from entrepot.testing.waiting import PATIENCE
from entrepot.upstream import deadline as deadline_module
from entrepot.upstream.deadline import deadline

SHORT = 0.05
LATE = 0.02


@pytest.fixture(autouse=True)
def _soon_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline_module, "_LATE", LATE)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.settimeout(0)
    with near, far:
        yield near, far


async def _later(coming: Awaitable[bytes]) -> bytes:
    return await coming


async def test_what_came_while_the_process_stood_still_is_in_time(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    loop = asyncio.get_running_loop()

    def stand_still() -> None:
        far.send(b"in time")
        time.sleep(SHORT + 5 * LATE)  # As SIGSTOP does to all of it.

    async with deadline(SHORT):
        loop.call_later(SHORT / 5, stand_still)
        # As through a library, which takes some turns of the loop to pass on what came.
        passed_on = asyncio.create_task(_later(asyncio.create_task(_later(loop.sock_recv(near, 100)))))
        assert await passed_on == b"in time"


async def test_what_does_not_come_is_waited_for_no_longer_than_told() -> None:
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(TimeoutError):
            async with deadline(SHORT):
                await asyncio.Event().wait()


async def test_after_standing_still_the_wait_ends_too() -> None:
    asyncio.get_running_loop().call_soon(time.sleep, SHORT + 5 * LATE)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(TimeoutError):
            async with deadline(SHORT):
                await asyncio.Event().wait()


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_no_time_is_no_wait(seconds: float) -> None:
    with pytest.raises(TimeoutError):
        async with deadline(seconds):
            await asyncio.Event().wait()


async def test_whoever_is_cancelled_is_not_told_of_a_timeout() -> None:
    async def wait() -> None:
        async with deadline(PATIENCE):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_done_is_interrupted_no_more() -> None:
    async with deadline(SHORT):
        pass
    await asyncio.wait([asyncio.create_task(asyncio.Event().wait())], timeout=2 * SHORT)
