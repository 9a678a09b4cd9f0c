"""Encrypted bytes taken from a socket: from a far side that says exactly what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from entrepot.errors import UpstreamDown, UpstreamTimeout
from entrepot.ports.upstream import Inflow
from entrepot.testing.certificates import Certificate, server_context
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.ports import free_port
from entrepot.testing.waiting import PATIENCE
from entrepot.upstream.patience import Patience
from entrepot.upstream.registry import RegistryUpstream
from entrepot.upstream.tls_inflow import OpenTls, TlsInflow, open_up

Connect = Callable[..., RegistryUpstream]
CONTENT = random.Random(1).randbytes(300_000)


@dataclass
class Far:
    """The other end of an encrypted connection, whose handshake is over."""

    socket: socket.socket
    tls: ssl.SSLObject
    outgoing: ssl.MemoryBIO

    def encrypt(self, content: bytes) -> bytes:
        self.tls.write(content)
        return self.outgoing.read()

    def say_farewell(self) -> None:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.socket.sendall(self.outgoing.read())


def _client_state(server: Certificate) -> OpenTls:
    context = ssl.create_default_context(cafile=server.certificate)
    open_up(context)
    tls = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    assert isinstance(tls, OpenTls)
    return tls


def _shake(tls: ssl.SSLObject) -> None:
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def ends(server: Certificate, request: pytest.FixtureRequest) -> Iterator[tuple[TlsInflow, Far, OpenTls]]:
    context, incoming, outgoing = server_context(server), ssl.MemoryBIO(), ssl.MemoryBIO()
    context.maximum_version = request.param
    far, near = context.wrap_bio(incoming, outgoing, server_side=True), _client_state(server)
    for _ in range(3):
        _shake(near)
        incoming.write(near.outgoing.read())
        _shake(far)
        near.incoming.write(outgoing.read())
    assert near.version() == far.version()
    here, there = socket.socketpair()
    inflow = TlsInflow(near, here.fileno(), len(CONTENT), "registry.test", PATIENCE)
    with here, there:
        yield inflow, Far(there, far, outgoing), near
        inflow.close()


async def _drain(inflow: Inflow, received: bytearray) -> None:
    block = memoryview(bytearray(70_000))
    while await inflow.ready():
        count = await asyncio.to_thread(inflow.read_into, block)
        received += block[:count]


Ends = tuple[TlsInflow, Far, OpenTls]


@pytest.mark.parametrize("before", [0, 1, 20_000, 200_000])
async def test_what_was_received_before_comes_before_the_rest(ends: Ends, before: int) -> None:
    """The library stops between two records or in one, and leaves what it has not decrypted."""
    inflow, far, near = ends
    encrypted, received = far.encrypt(CONTENT), bytearray()
    near.incoming.write(encrypted[:before])
    sending = asyncio.create_task(asyncio.to_thread(far.socket.sendall, encrypted[before:]))
    await _drain(inflow, received)
    await sending
    assert received == CONTENT


async def test_all_may_be_here_already_and_the_socket_silent(ends: Ends) -> None:
    inflow, far, near = ends
    received = bytearray()
    near.incoming.write(far.encrypt(CONTENT))
    await _drain(inflow, received)
    assert received == CONTENT


async def test_a_changed_byte_is_a_broken_transfer_behind_what_was_right(ends: Ends) -> None:
    inflow, far, _ = ends
    received = bytearray()
    right, wrong = far.encrypt(CONTENT[:1000]), bytearray(far.encrypt(CONTENT[1000:40_000]))
    wrong[500] ^= 1
    far.socket.sendall(right + wrong)
    with pytest.raises(UpstreamDown, match="broke its answer off"):
        await _drain(inflow, received)
    assert received == CONTENT[:1000]


@pytest.mark.parametrize("politely", [True, False])
async def test_an_end_before_the_end_is_a_broken_transfer(ends: Ends, *, politely: bool) -> None:
    inflow, far, _ = ends
    received = bytearray()
    far.socket.sendall(far.encrypt(CONTENT[:1000]))
    if politely:
        far.say_farewell()
    else:
        far.socket.sendall(far.encrypt(CONTENT[1000:2000])[:500])
        far.socket.shutdown(socket.SHUT_WR)
    with pytest.raises(UpstreamDown, match="too early"):
        await _drain(inflow, received)
    assert received == CONTENT[:1000]


async def test_what_comes_without_bringing_any_of_the_body_is_silence(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    inflow, far, _ = ends
    monkeypatch.setattr(inflow, "_patience", Patience("registry.test", 0.2))
    received = bytearray()

    async def drip(encrypted: bytes) -> None:
        for position in range(len(encrypted)):
            far.socket.sendall(encrypted[position : position + 1])
            await asyncio.sleep(0.001)

    dripping = asyncio.create_task(drip(far.encrypt(CONTENT[:16_000])))
    with pytest.raises(UpstreamTimeout, match="fell silent"):
        await _drain(inflow, received)
    dripping.cancel()
    await asyncio.wait([dripping])
    assert not received


async def test_one_call_ends_though_drops_come_without_end(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    inflow, far, _ = ends
    near, encrypted = inflow._socket, iter(far.encrypt(CONTENT[:16_000]))
    calls = 0

    class Dripping:
        """Has one byte more at every look."""

        def recv_into(self, buffer: memoryview) -> int:
            nonlocal calls
            calls += 1
            buffer[0] = next(encrypted)
            return 1

    monkeypatch.setattr("entrepot.upstream.tls_inflow.monotonic", lambda: calls / 1000)
    monkeypatch.setattr(inflow, "_socket", Dripping())
    assert await asyncio.to_thread(inflow.read_into, memoryview(bytearray(70_000))) == 0
    assert calls < 100
    monkeypatch.setattr(inflow, "_socket", near)


@dataclass
class Conversation:
    """With OpenSSL's own server, which does what Python cannot when it is told to on its standard input."""

    port: int
    process: subprocess.Popen[bytes]

    def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def hear(self, what: bytes) -> None:
        """Wait until it tells of ``what``."""
        assert self.process.stdout is not None
        assert any(what in line for line in self.process.stdout)


@contextlib.contextmanager
def _conversation(server: Certificate) -> Iterator[Conversation]:
    port = free_port()
    files = ["-cert", server.certificate, "-key", server.key]
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-naccept", "1", "-msg"]
    with subprocess.Popen([*command, *files], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        limit = threading.Timer(PATIENCE, process.kill)
        limit.start()
        conversation = Conversation(port, process)
        try:
            conversation.hear(b"ACCEPT")
            yield conversation
        finally:
            limit.cancel()
            process.kill()


def _shake_over(near: OpenTls, connection: socket.socket) -> None:
    while not near.version() or near.cipher() is None:
        _shake(near)
        connection.sendall(near.outgoing.read())
        near.incoming.write(connection.recv(1 << 16))
    _shake(near)
    connection.sendall(near.outgoing.read())


async def _until_come(received: bytearray, size: int) -> None:
    for _ in range(10_000):
        if len(received) >= size:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("no more came")


async def test_keys_may_change(server: Certificate) -> None:
    received = bytearray()
    with _conversation(server) as far, socket.create_connection(("127.0.0.1", far.port)) as connection:
        near = _client_state(server)
        _shake_over(near, connection)
        with contextlib.closing(
            TlsInflow(near, connection.fileno(), 12, "registry.test", PATIENCE)
        ) as inflow:
            draining = asyncio.create_task(_drain(inflow, received))
            far.say(b"hello\n")
            await _until_come(received, 6)
            far.say(b"K\n")
            await asyncio.to_thread(far.hear, b"KeyUpdate")
            far.say(b"world\n")
            await draining
    assert received == b"hello\nworld\n"


async def test_what_tls_itself_has_to_say_is_said(ends: Ends) -> None:
    """As when an upstream wants to shake hands anew (RFC 5246, section 7.4.1.1)."""
    inflow, far, near = ends
    near.outgoing.write(b"hello again")
    far.socket.sendall(far.encrypt(CONTENT[:1000]))
    assert await inflow.ready()
    assert inflow.read_into(memoryview(bytearray(1000))) == 1000
    assert far.socket.recv(100) == b"hello again"


@asynccontextmanager
async def _proxy(tls: ssl.SSLContext | None) -> AsyncIterator[str]:
    """Run a proxy that connects to whatever it is asked for."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while block := await reader.read(1 << 16):
                writer.write(block)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode().rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        async with asyncio.TaskGroup() as group:
            group.create_task(pass_on(reader, there_writer))
            group.create_task(pass_on(there_reader, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"


@pytest.mark.parametrize("is_wrapped", [False, True])
async def test_behind_a_proxy_it_is_taken_unless_it_is_encrypted_twice(
    connect: Connect, server: Certificate, *, is_wrapped: bool
) -> None:
    content = bytes(18 << 20)
    context = server_context(server)
    async with FakeRegistry(tls=context) as registry, _proxy(context if is_wrapped else None) as proxy:
        digest = registry.content.add_blob("app", content)
        upstream = connect(registry.url, ca_file=server.certificate, proxy=proxy)
        async with upstream.open_blob("app", digest) as blob:
            inflow = blob.divert()
            received = bytearray(b"".join([chunk async for chunk in blob.chunks()]))
            assert (inflow is None) is is_wrapped
            if inflow is not None:
                await _drain(inflow, received)
        assert received == content


async def test_a_connection_that_took_a_handshake_is_not_given_for_a_few_bytes(
    connect: Connect, server: Certificate
) -> None:
    async with FakeRegistry(tls=server_context(server)) as registry:
        digest = registry.content.add_blob("app", bytes(15 << 20))
        async with connect(registry.url, ca_file=server.certificate).open_blob("app", digest) as blob:
            assert blob.divert() is None
            assert sum([len(chunk) async for chunk in blob.chunks()]) == 15 << 20
