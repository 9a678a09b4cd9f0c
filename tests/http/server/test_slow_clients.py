from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from tests.http.server.conftest import GET, Client, Harbour, answer_with, serving, settle

from entrepot.http.server import ClientDisconnected, Receive, ResponseInvalid, Scope, Send, Server
from entrepot.http.server.connection import Connection


def open_descriptors(path: Path) -> int:
    """Count those of sockets and of a file; an event loop may open others when it likes."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(descriptor.readlink()))
    return sum(link.startswith("socket:") or link == str(path) for link in links)


def connection_of(harbour: Harbour) -> Connection:
    (connection,) = harbour.server._shared.connections
    return connection


def _receiving_side(client: Client) -> asyncio.Transport:
    """The stub of ``StreamWriter`` knows only the writing side of its transport."""
    return cast("asyncio.Transport", client.writer.transport)


class Leaving:
    """An application that is stuck in sending a large file to a client that does not read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failure: BaseException | None = None
        self.task: asyncio.Task[Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.task = asyncio.current_task()
        try:
            await serving(self.path)(scope, receive, send)
        except BaseException as failure:
            self.failure = failure
            raise


async def stuck(harbour: Harbour, app: Leaving, **limits: Any) -> Client:
    """Start a transfer and wait until the server waits for the client."""
    server = await harbour.serve(app, **limits)
    client = await harbour.connect(receives=8192)
    _receiving_side(client).pause_reading()
    await client.say(GET)
    await settle(lambda: app.failure or [one for one in server._shared.connections if one._outlet._waiter])
    return client


@pytest.fixture(params=[True, False], ids=["in memory", "on disk"])
def large(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(16 << 20)

    monkeypatch.setattr("entrepot.http.server.turns.is_in_memory", lambda *_, **__: request.param)
    return path


@pytest.mark.parametrize("farewell", ["leave", "vanish"])
async def test_a_client_that_leaves_within_a_file_ends_its_answer(
    harbour: Harbour, large: Path, farewell: str
) -> None:
    before = open_descriptors(large)
    app = Leaving(large)
    client = await stuck(harbour, app)
    getattr(client, farewell)()
    await settle(lambda: app.failure)
    assert isinstance(app.failure, ClientDisconnected)
    await settle(lambda: harbour.server.connections == 0)
    await harbour.close()
    await settle(lambda: open_descriptors(large) <= before)


async def test_a_cancelled_transfer_is_cut_and_leaves_no_descriptor(harbour: Harbour, large: Path) -> None:
    before = open_descriptors(large)
    app = Leaving(large)
    client = await stuck(harbour, app)
    assert app.task is not None
    app.task.cancel()
    await settle(lambda: app.failure)
    assert isinstance(app.failure, asyncio.CancelledError)
    _receiving_side(client).resume_reading()
    assert await client.is_cut()
    await settle(lambda: harbour.server.connections == 0)
    await harbour.close()
    await settle(lambda: open_descriptors(large) <= before)


async def test_a_client_that_takes_nothing_is_given_up(harbour: Harbour, large: Path) -> None:
    app = Leaving(large)
    await stuck(harbour, app, stall_seconds=0.05)
    await settle(lambda: app.failure)
    assert isinstance(app.failure, ClientDisconnected)
    await settle(lambda: harbour.server.connections == 0)


async def test_a_client_that_takes_something_between_two_looks_is_not_given_up(
    harbour: Harbour, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrepot.http.server.sendfile._STEP_BYTES", 1 << 20)
    app = Leaving(large)
    client = await stuck(harbour, app, sweep_seconds=3600)
    (connection,) = harbour.server._shared.connections

    def is_given_up_at(now: float) -> bool:
        connection.overdue(now)
        return connection._outlet.gone

    for now in (1.0, 2.0, 3.0):
        assert not is_given_up_at(now)
        before = connection._outlet.taken
        _receiving_side(client).resume_reading()
        while connection._outlet.taken == before:
            await client.reader.read(8192)
        _receiving_side(client).pause_reading()
        await settle(lambda: connection._outlet._waiter)
    assert not is_given_up_at(4.0)
    assert is_given_up_at(5.0)
    await settle(lambda: app.failure)


async def test_a_client_is_not_to_blame_while_nothing_is_there_to_take(harbour: Harbour) -> None:
    gate, waits = asyncio.Event(), asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        for _ in range(2):
            await send({"type": "http.response.body", "body": b"some", "more_body": True})
            waits.set()
            await gate.wait()
        await send({"type": "http.response.body"})

    server = await harbour.serve(app, sweep_seconds=3600)
    client = await harbour.connect()
    await client.say(GET)
    await waits.wait()
    (connection,) = server._shared.connections
    for now in (1.0, 2.0, 3.0):
        connection.overdue(now)
    gate.set()
    assert (await client.answer()).body == b"somesome"


async def test_a_client_is_not_blamed_for_the_time_before_something_was_there(
    harbour: Harbour, large: Path
) -> None:
    """Its socket is full, but for a while nothing waits for it; then something does, and no byte moves."""
    full, gate = asyncio.Event(), asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        with large.open("rb") as file:
            sending = asyncio.ensure_future(send({"type": "http.response.zerocopysend", "file": file}))
            await settle(lambda: connection_of(harbour)._outlet._waiter)
            sending.cancel()
            await asyncio.wait([sending])
        full.set()
        await gate.wait()
        await send({"type": "http.response.body", "body": bytes(16 << 20)})

    await harbour.serve(app, sweep_seconds=3600)
    client = await harbour.connect(receives=8192)
    _receiving_side(client).pause_reading()
    await client.say(GET)
    await full.wait()
    connection = connection_of(harbour)
    assert not connection._outlet.pending
    connection.overdue(1.0)
    gate.set()
    await settle(lambda: connection._outlet.pending)
    connection.overdue(2.0)
    assert not connection._outlet.gone


async def test_the_buffer_of_a_slow_reader_stays_below_its_mark(harbour: Harbour) -> None:
    mark, chunk, seen = 32 << 10, b"x" * 10_000, 0

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal seen
        (connection,) = harbour.server._shared.connections
        connection._transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, 16 << 10
        )
        await send({"type": "http.response.start", "status": 200})
        for _ in range(50):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            seen = max(seen, connection._outlet.buffered)
        await send({"type": "http.response.body"})

    await harbour.serve(app, buffer_bytes=mark)
    client = await harbour.connect(receives=8192)
    await client.say(GET)
    await settle(lambda: [one for one in harbour.server._shared.connections if one._outlet.paused])
    assert len((await client.answer()).body) == 500_000
    assert 0 < seen <= mark


async def test_a_second_send_may_not_run_into_one_that_waits(harbour: Harbour, large: Path) -> None:
    refusals: list[BaseException] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        async def interrupt() -> None:
            await settle(lambda: [one for one in harbour.server._shared.connections if one._outlet._waiter])
            with pytest.raises(ResponseInvalid) as refusal:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
            refusals.append(refusal.value)

        await send({"type": "http.response.start", "status": 200})
        async with asyncio.TaskGroup() as group:
            group.create_task(interrupt())
            with large.open("rb") as file:
                await send({"type": "http.response.zerocopysend", "file": file})

    await harbour.serve(app)
    client = await harbour.connect(receives=8192)
    await client.say(GET)
    await settle(lambda: refusals)
    assert (await client.answer()).body == bytes(16 << 20)


async def test_a_client_that_says_nothing_is_let_go(harbour: Harbour) -> None:
    await harbour.serve(answer_with(), head_seconds=0.02)
    assert await (await harbour.connect()).rest() == b""


async def test_a_client_that_does_not_finish_its_head_is_told_so(harbour: Harbour) -> None:
    await harbour.serve(answer_with(), sweep_seconds=3600)
    client = await harbour.connect()
    await client.say(GET[:10])
    await settle(partial(_has_received, harbour.server, 10))
    harbour.run_out_of_time()
    assert (await client.answer()).status == 408
    assert await client.rest() == b""


def _has_received(server: Server, size: int) -> bool:
    return any(connection._received >= size for connection in server._shared.connections)


async def test_dripping_a_head_wins_no_time(harbour: Harbour) -> None:
    server = await harbour.serve(answer_with(), sweep_seconds=3600)
    client = await harbour.connect()
    deadlines = set()
    for number in range(1, len(GET)):
        await client.say(GET[number - 1 : number])
        await settle(partial(_has_received, server, number))
        deadlines.add(connection_of(harbour).deadline)
        server._shared.now += 1
    assert len(deadlines) == 1
    harbour.run_out_of_time()
    assert (await client.answer()).status == 408


async def test_an_idle_connection_is_let_go(harbour: Harbour) -> None:
    await harbour.serve(answer_with(), keep_alive_seconds=0.02)
    client = await harbour.connect()
    assert (await client.get()).status == 200
    assert await client.rest() == b""


async def test_an_application_may_take_longer_than_a_client(harbour: Harbour) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        (connection,) = harbour.server._shared.connections
        first = connection.deadline
        await settle(lambda: connection.deadline > first)
        await answer_with(200, b"late")(scope, receive, send)

    await harbour.serve(app, stall_seconds=0.02, keep_alive_seconds=60)
    assert (await (await harbour.connect()).get()).body == b"late"


async def test_a_last_answer_is_given_time_to_be_read(harbour: Harbour) -> None:
    """The connection is half closed and discards what comes, but not for ever."""
    server = await harbour.serve(answer_with(), linger_seconds=0.02)
    client = await harbour.connect()
    await client.say(b"nonsense\r\n")
    await settle(lambda: server.connections == 0)
    assert (await client.answer()).status == 400
