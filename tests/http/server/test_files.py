from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import ssl
import threading
from pathlib import Path

import pytest
from tests.http.server.conftest import GET, Harbour, file_of, serving, settle

from entrepot.http.server import Message, Receive, ResponseInvalid, Scope, Send, ShortFile
from entrepot.testing.certificates import certify, server_context
from entrepot.testing.waiting import PATIENCE

SIZES = [1, 4096, (256 << 10), (256 << 10) + 1, 20 << 20]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's context over a certificate made for the occasion."""
    made = certify(tmp_path_factory.mktemp("tls"), "cache", of="DNS:cache")
    return server_context(made), ssl.create_default_context(cafile=made.certificate)


@pytest.mark.parametrize("size", SIZES)
async def test_a_file_arrives_and_none_of_it_passes_through_the_program(
    harbour: Harbour, tmp_path: Path, size: int
) -> None:
    content = random.Random(size).randbytes(size)
    server = await harbour.serve(serving(file_of(tmp_path, content)))
    client = await harbour.connect()
    for _ in range(2):
        assert (await client.get()).body == content
    await settle(lambda: server.bytes_sent_by_sendfile == 2 * size)
    assert 0 < server.bytes_sent - server.bytes_sent_by_sendfile < 600


@pytest.mark.parametrize("size", SIZES)
async def test_a_file_arrives_over_tls(
    harbour: Harbour, tmp_path: Path, size: int, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    content = random.Random(size).randbytes(size)
    server = await harbour.serve(serving(file_of(tmp_path, content)), tls=tls[0])
    client = await harbour.connect(tls=tls[1])
    for _ in range(2):
        assert (await client.get()).body == content
    assert server.bytes_sent_by_sendfile == 0
    client.leave()
    await settle(lambda: server.connections == 0)


async def test_a_tls_scope_says_https(harbour: Harbour, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        body = scope["scheme"].encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": body})

    await harbour.serve(app, tls=tls[0])
    client = await harbour.connect(tls=tls[1])
    assert (await client.get()).body == b"https"
    assert await client.rest() == b""


async def test_plain_talk_to_a_tls_port_is_cut(
    harbour: Harbour, tls: tuple[ssl.SSLContext, ssl.SSLContext], tmp_path: Path
) -> None:
    server = await harbour.serve(serving(tmp_path), tls=tls[0])
    client = await harbour.connect()
    await client.say(GET)
    await client.is_cut()
    assert server.connections == 0


@pytest.mark.parametrize("framing", ["content-length", "chunked", "close"])
@pytest.mark.parametrize("secure", [False, True])
async def test_bodies_and_files_mix_within_an_answer(
    harbour: Harbour,
    tmp_path: Path,
    framing: str,
    *,
    secure: bool,
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    content = random.Random(1).randbytes(1 << 20)
    path = file_of(tmp_path, content)
    spans = [(0, 10), (1000, 700_000), (500, 0), (1 << 19, 1 << 19)]
    expected = (
        b"".join(b"--part--" + content[offset : offset + count] for offset, count in spans) + b"--end--"
    )

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % len(expected))] if framing == "content-length" else []
        await send({"type": "http.response.start", "status": 206, "headers": headers})
        with path.open("rb") as file:
            for offset, count in spans:
                await send({"type": "http.response.body", "body": b"--part--", "more_body": True})
                await send(
                    {
                        "type": "http.response.zerocopysend",
                        "file": file.fileno(),
                        "offset": offset,
                        "count": count,
                        "more_body": True,
                    }
                )
        await send({"type": "http.response.body", "body": b"--end--"})

    await harbour.serve(app, tls=tls[0] if secure else None)
    client = await harbour.connect(tls=tls[1] if secure else None)
    await client.say(b"GET / HTTP/1.0\r\n\r\n" if framing == "close" else GET)
    assert (await client.answer()).body == expected


async def test_a_file_may_be_the_whole_of_a_chunked_answer(harbour: Harbour, tmp_path: Path) -> None:
    path = file_of(tmp_path, b"layer" * 100_000)

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        with path.open("rb") as file:
            await send({"type": "http.response.zerocopysend", "file": file})

    await harbour.serve(app)
    client = await harbour.connect()
    for _ in range(2):
        assert (await client.get()).body == b"layer" * 100_000


async def test_without_an_offset_a_file_is_sent_from_where_it_stands(
    harbour: Harbour, tmp_path: Path
) -> None:
    path = file_of(tmp_path, b"0123456789")

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        with path.open("rb") as file:
            file.seek(2)
            for more in (True, True, False):
                await send(
                    {"type": "http.response.zerocopysend", "file": file, "count": 2, "more_body": more}
                )
            assert file.tell() == 8

    await harbour.serve(app)
    assert (await (await harbour.connect()).get()).body == b"234567"


async def test_a_head_request_does_not_touch_the_file(harbour: Harbour, tmp_path: Path) -> None:
    server = await harbour.serve(serving(file_of(tmp_path, b"layer")))
    client = await harbour.connect()
    assert (await client.get(method="HEAD")).headers["content-length"] == "5"
    assert server.bytes_sent_by_sendfile == 0
    assert (await client.get()).body == b"layer"


@pytest.mark.parametrize("size", [1000, 1 << 20])
@pytest.mark.parametrize("secure", [False, True])
async def test_a_file_shorter_than_promised_is_a_broken_transfer(
    harbour: Harbour, tmp_path: Path, size: int, *, secure: bool, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    path = file_of(tmp_path, b"x" * size)
    await harbour.serve(serving(path, count=size + 1, length=size + 1), tls=tls[0] if secure else None)
    client = await harbour.connect(tls=tls[1] if secure else None)
    await client.say(GET)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await client.answer()
    assert isinstance(harbour.fetch_error(), ShortFile)


async def test_a_file_that_grows_does_not_lengthen_its_answer(harbour: Harbour, tmp_path: Path) -> None:
    path = file_of(tmp_path, b"x" * 1000)
    await harbour.serve(serving(path, count=400, length=400, offset=100))
    client = await harbour.connect()
    assert (await client.get()).body == b"x" * 400
    with path.open("ab") as file:
        file.write(b"y" * 1000)
    assert (await client.get()).body == b"x" * 400


@pytest.mark.parametrize(("count", "length"), [(10, 9), (9, 10)])
async def test_a_span_that_is_not_as_long_as_promised_is_not_sent(
    harbour: Harbour, tmp_path: Path, count: int, length: int
) -> None:
    server = await harbour.serve(serving(file_of(tmp_path, b"x" * 10), count=count, length=length))
    assert (await (await harbour.connect()).get()).status == 500
    assert isinstance(harbour.fetch_error(), ResponseInvalid)
    assert server.bytes_sent_by_sendfile == 0


@pytest.mark.parametrize("event", [{"offset": -1, "count": 1}, {"offset": 0, "count": -1}])
async def test_a_span_outside_of_every_file_is_refused(
    harbour: Harbour, tmp_path: Path, event: dict[str, int]
) -> None:
    path = file_of(tmp_path, b"x")

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        with path.open("rb") as file:
            await send({"type": "http.response.zerocopysend", "file": file, **event})

    await harbour.serve(app)
    assert (await (await harbour.connect()).get()).status == 500
    assert isinstance(harbour.fetch_error(), ResponseInvalid)


async def test_what_is_no_file_is_a_broken_transfer(harbour: Harbour) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        reading, writing = os.pipe()
        try:
            await send({"type": "http.response.zerocopysend", "file": reading, "offset": 0, "count": 1})
        finally:
            os.close(reading)
            os.close(writing)

    await harbour.serve(app)
    client = await harbour.connect()
    await client.say(GET)
    assert await client.is_cut()
    assert isinstance(harbour.fetch_error(), OSError)


async def test_a_file_follows_what_the_socket_has_not_taken_yet(harbour: Harbour, tmp_path: Path) -> None:
    """The body before it is still in the transport when the file's turn comes."""
    path = file_of(tmp_path, b"file" * 100)

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x" * 5_000_000, "more_body": True})
        (connection,) = harbour.server._shared.connections
        assert connection._outlet.buffered
        with path.open("rb") as file:
            await send({"type": "http.response.zerocopysend", "file": file, "more_body": True})
        assert connection._transport.get_write_buffer_size() == 0
        assert connection._transport.get_write_buffer_limits()[1] == 10_000_000
        await send({"type": "http.response.body", "body": b"end"})

    await harbour.serve(app, buffer_bytes=10_000_000)
    client = await harbour.connect(receives=8192)
    assert (await client.get()).body == b"x" * 5_000_000 + b"file" * 100 + b"end"


async def test_what_is_small_and_in_memory_needs_no_thread(harbour: Harbour, tmp_path: Path) -> None:
    path = file_of(tmp_path, b"x" * (257 << 10))
    server = await harbour.serve(serving(path, count=256 << 10, length=256 << 10))
    await (await harbour.connect()).get()
    assert not server._shared.files._pool._threads
    assert not server._shared.files._turns._thread._threads
    await harbour.serve(serving(path))
    await (await harbour.connect()).get()
    assert harbour.server._shared.files._turns._thread._threads


async def test_many_clients_share_the_few_threads(harbour: Harbour, tmp_path: Path) -> None:
    content = random.Random(3).randbytes(1 << 20)
    server = await harbour.serve(serving(file_of(tmp_path, content)), file_threads=2)

    async def pull() -> None:
        assert (await (await harbour.connect()).get()).body == content

    async with asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(pull())
    await settle(lambda: server.bytes_sent_by_sendfile == 30 << 20)


async def test_a_thread_does_not_stay_with_a_slow_client_while_others_wait(
    harbour: Harbour, tmp_path: Path
) -> None:
    await harbour.serve(serving(file_of(tmp_path, bytes(16 << 20))), file_threads=1)
    slow = [await harbour.connect(receives=8192) for _ in range(2)]
    for client in slow:
        await client.say(GET)
    assert (await (await harbour.connect()).get()).body == bytes(16 << 20)


async def test_the_head_of_a_small_file_does_not_travel_alone(harbour: Harbour, tmp_path: Path) -> None:
    await harbour.serve(serving(file_of(tmp_path, b"small")))
    client = await harbour.connect()
    await client.say(GET)
    assert (await client.reader.read(1 << 16)).endswith(b"\r\n\r\nsmall")


async def test_a_file_does_not_overtake_what_the_socket_could_take_by_now(
    harbour: Harbour, tmp_path: Path
) -> None:
    """The client empties the socket while the event loop is busy: room for the file, but not its turn."""
    path = file_of(tmp_path, b"file" * 100)
    emptied = threading.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"x" * 16_000_000, "more_body": True})
        assert emptied.wait(PATIENCE)
        with path.open("rb") as file:
            await send({"type": "http.response.zerocopysend", "file": file})

    def read_all() -> bytes:
        received = b""
        with socket.create_connection(("127.0.0.1", harbour.port)) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            connection.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                while part := connection.recv(1 << 20):
                    received += part
            emptied.set()
            connection.settimeout(PATIENCE)
            while part := connection.recv(1 << 20):
                received += part
        return received

    await harbour.serve(app, buffer_bytes=32_000_000)
    received = await asyncio.to_thread(read_all)
    assert received.endswith(b"\r\n\r\n" + b"x" * 16_000_000 + b"file" * 100)


async def test_a_thread_never_works_on_a_descriptor_that_others_may_close(
    harbour: Harbour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application closes its file when it is cancelled, and the number may be another file's by then."""
    path = file_of(tmp_path, b"x" * (1 << 20))
    reached, gate, done = threading.Event(), threading.Event(), threading.Event()
    own: list[int] = []
    used: list[tuple[int, int]] = []
    real_sendfile = os.sendfile

    def slow_sendfile(out: int, file: int, offset: int, count: int) -> int:
        reached.set()
        assert gate.wait(PATIENCE)
        used.append((out, file))
        try:
            return real_sendfile(out, file, offset, count)
        finally:
            done.set()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        (connection,) = harbour.server._shared.connections
        with path.open("rb") as file:
            own.extend((connection._outlet.socket, file.fileno()))
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.zerocopysend", "file": file})

    monkeypatch.setattr("entrepot.http.server.sendfile.os.sendfile", slow_sendfile)
    server = await harbour.serve(app)
    client = await harbour.connect()
    await client.say(GET)
    await settle(reached.is_set)
    (connection,) = server._shared.connections
    connection.cancel()
    await settle(lambda: server.connections == 0)
    gate.set()
    await settle(done.is_set)
    ((out, file),) = used
    assert out not in own
    assert file not in own
    assert await client.is_cut()


@pytest.mark.parametrize("secure", [False, True])
async def test_the_application_learns_how_much_of_a_file_has_left(
    harbour: Harbour, tmp_path: Path, tls: tuple[ssl.SSLContext, ssl.SSLContext], *, secure: bool
) -> None:
    size, taken = 64 << 20, 300_000
    path = file_of(tmp_path, b"")
    os.truncate(path, size)
    event: Message = {"type": "http.response.zerocopysend", "offset": 0, "count": size}
    ended = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]}
        )
        with path.open("rb") as event["file"]:
            try:
                await send(event)
            finally:
                ended.set()

    await harbour.serve(app, tls=tls[0] if secure else None)
    client = await harbour.connect(tls=tls[1] if secure else None, receives=taken)
    await client.say(GET)
    await client.head()
    await client.reader.readexactly(taken)
    client.vanish()
    await ended.wait()
    assert taken <= event["sent"] < size
