from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.http.server.conftest import GET, Harbour, answer_with, settle

from entrepot.http.server import Message, Receive, Scope, Send

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]}
SOME: Message = {"type": "http.response.body", "body": b"abc", "more_body": True}
END: Message = {"type": "http.response.body", "body": b"abc"}


async def test_idle_connections_close_at_once(harbour: Harbour) -> None:
    server = await harbour.serve(answer_with())
    clients = [await harbour.connect() for _ in range(3)]
    await clients[0].get()
    await clients[1].say(GET[:10])
    await settle(lambda: [one for one in server._shared.connections if one._reader.in_head])
    await settle(lambda: server.connections == 3)
    await server.stop(60)
    assert server.connections == 0
    assert [await client.rest() for client in clients] == [b""] * 3


async def test_nobody_is_accepted_after_the_stop(harbour: Harbour) -> None:
    server = await harbour.serve(answer_with())
    await server.stop(0)
    with pytest.raises(ConnectionRefusedError):
        await harbour.connect()


class Gated:
    """An application that stops before or after its head until the gate opens."""

    def __init__(self, *, after_head: bool) -> None:
        self.after_head = after_head
        self.waits = asyncio.Event()
        self.gate = asyncio.Event()

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        if self.after_head:
            await send(START)
            await send(SOME)
        self.waits.set()
        await self.gate.wait()
        if not self.after_head:
            await send(START)
            await send(SOME)
        await send(END)


@pytest.mark.parametrize("after_head", [True, False])
async def test_a_running_answer_may_finish(harbour: Harbour, *, after_head: bool) -> None:
    app = Gated(after_head=after_head)
    server = await harbour.serve(app, linger_seconds=0)
    client = await harbour.connect()
    await client.say(GET + GET)
    await app.waits.wait()
    stopping = asyncio.create_task(server.stop(60))
    await asyncio.sleep(0)
    app.gate.set()
    answer = await client.answer()
    await stopping
    assert answer.body == b"abcabc"
    assert ("connection" in answer.headers) is not after_head
    assert await client.rest() == b""


@pytest.mark.parametrize("after_head", [True, False])
async def test_an_answer_that_does_not_finish_in_time_is_cut(harbour: Harbour, *, after_head: bool) -> None:
    app = Gated(after_head=after_head)
    server = await harbour.serve(app)
    client = await harbour.connect()
    await client.say(GET)
    await app.waits.wait()
    await server.stop(0.01)
    assert server.connections == 0
    assert await client.is_cut()


async def test_a_request_that_arrives_with_the_stop_is_cut_without_having_begun(harbour: Harbour) -> None:
    begun = False

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        nonlocal begun
        begun = True

    server = await harbour.serve(app)
    client = await harbour.connect()
    await settle(lambda: server.connections == 1)
    (connection,) = server._shared.connections
    server._shared.read_buffer[: len(GET)] = GET
    connection.buffer_updated(len(GET))
    connection.abort()
    connection.cancel()
    await settle(lambda: server.connections == 0)
    assert await client.is_cut()
    assert not begun


async def test_an_application_that_will_not_end_does_not_hold_up_the_stop(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrepot.http.server.serve._CANCELLED_SECONDS", 0.01)
    gate = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue

    server = await harbour.serve(app)
    client = await harbour.connect()
    await client.say(GET)
    await settle(lambda: [one for one in server._shared.connections if one._exchange])
    await server.stop(0)
    assert server.connections == 1
    gate.set()
    await settle(lambda: server.connections == 0)


async def test_every_request_has_a_named_task_of_its_own(harbour: Harbour) -> None:
    tasks: list[asyncio.Task[Any] | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        tasks.append(asyncio.current_task())
        await answer_with()(scope, receive, send)

    await harbour.serve(app)
    client = await harbour.connect()
    await client.get("/v2/")
    await client.get("/v2/x")
    assert [task and task.get_name() for task in tasks] == ["/v2/", "/v2/x"]
    assert len(set(tasks)) == 2
