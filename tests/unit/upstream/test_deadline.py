from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from entrepot.testing.waiting import PATIENCE
from entrepot.upstream import deadline as deadline_module
from entrepot.upstream.deadline import deadline
from entrepot.upstream.inflow import SocketInflow
from entrepot.upstream.registry import RegistryUpstream

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


async def test_bytes_of_a_large_body_that_came_meanwhile_are_in_time(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    inflow = SocketInflow(near.fileno(), 1, "registry.test", SHORT)

    def stand_still() -> None:
        far.send(b"x")
        time.sleep(SHORT + 5 * LATE)

    asyncio.get_running_loop().call_soon(stand_still)
    try:
        assert await inflow.ready()
    finally:
        inflow.close()


async def test_the_head_of_an_answer_that_came_meanwhile_is_in_time(
    connect: Callable[..., RegistryUpstream],
) -> None:
    patience = 20 * SHORT

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        stand_still(writer)
        await reader.read()
        writer.close()

    def stand_still(writer: asyncio.StreamWriter) -> None:
        content = b'{"name":"app","tags":["1"]}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))
        time.sleep(patience + 5 * LATE)

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await connect(url, patience=patience).tags("app") == ["1"]


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
