"""A real server on loopback, on both event loops, and a client that says exactly what it is told."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop

from entrepot.http.server import ASGIApp, Limits, Receive, Refusal, Scope, Send, Server
from entrepot.testing.waiting import PATIENCE

__all__ = ["GET", "Answer", "Client", "Harbour", "answer_with", "file_of", "serving", "settle"]

GET = b"GET / HTTP/1.1\r\nHost: cache\r\n\r\n"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test twice: uvloop serves, asyncio must do as well."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def get(self, target: str = "/", *, method: str = "GET", headers: str = "") -> Answer:
        await self.say(f"{method} {target} HTTP/1.1\r\nHost: cache\r\n{headers}\r\n".encode())
        return await self.answer(bodiless=method == "HEAD")

    async def head(self) -> Answer:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        version, status, *_ = lines[0].split(" ")
        assert version == "HTTP/1.1"
        pairs = [line.split(": ", 1) for line in lines[1:] if line]
        headers = dict(pairs)
        assert len(headers) == len(pairs), f"a header twice in {lines}"
        return Answer(int(status), headers)

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """Read one answer as its framing says."""
        answer = await self.head()
        if bodiless or answer.status in (204, 304):
            return answer
        if "content-length" in answer.headers:
            answer.body = await self.reader.readexactly(int(answer.headers["content-length"]))
        elif answer.headers.get("transfer-encoding") == "chunked":
            answer.body = await self._chunks()
        else:
            answer.body = await self.reader.read()
        return answer

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        assert await self.reader.readexactly(2) == b"\r\n"
        return body

    async def rest(self) -> bytes:
        """Read to a clean end of the connection; raises ``ConnectionResetError`` at any other."""
        return await self.reader.read()

    async def is_cut(self) -> bool:
        """Read to the end; tell whether it was a reset."""
        try:
            await self.reader.read()
        except ConnectionResetError:
            return True
        return False

    def leave(self) -> None:
        self.writer.close()

    def vanish(self) -> None:
        """Leave with a reset, as a killed client with unread bytes does."""
        raw = self.writer.get_extra_info("socket")
        if raw is not None and raw.fileno() != -1:  # The server may have been faster.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class Harbour:
    """Starts servers; what went wrong in them is in ``errors`` and must be fetched from there."""

    errors: list[BaseException] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    server: Server = field(init=False)
    port: int = 0
    _servers: list[Server] = field(default_factory=list)
    _clients: list[Client] = field(default_factory=list)

    async def serve(self, app: ASGIApp, *, tls: ssl.SSLContext | None = None, **limits: Any) -> Server:
        self.server = Server(
            app,
            limits=Limits(**{"sweep_seconds": 0.01, **limits}),
            tls=tls,
            on_error=lambda _scope, error: self.errors.append(error),
            on_refusal=self.refusals.append,
        )
        self._servers.append(self.server)
        ((_, self.port),) = await self.server.start("127.0.0.1", 0)
        return self.server

    async def connect(self, *, tls: ssl.SSLContext | None = None, receives: int | None = None) -> Client:
        raw = socket.socket()
        if receives is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        raw.settimeout(0)
        try:
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.port))
        except OSError:
            raw.close()
            raise
        name = "cache" if tls else None
        limit = 1 << 16 if receives is None else receives
        client = Client(*await asyncio.open_connection(sock=raw, ssl=tls, server_hostname=name, limit=limit))
        self._clients.append(client)
        return client

    def run_out_of_time(self) -> None:
        """Do what a sweep does when the deadline of the only connection has passed."""
        (connection,) = self.server._shared.connections
        connection.overdue(connection.deadline)

    def fetch_error(self) -> BaseException:
        (error,) = self.errors
        self.errors.clear()
        return error

    async def close(self) -> None:
        for client in self._clients:
            client.writer.transport.abort()
        for server in self._servers:
            await server.stop(1)
            assert server.connections == 0
        assert self.errors == []


async def settle(condition: Callable[[], object]) -> None:
    """Let the loop run until something holds; the watchdog of ``harbour`` is the deadline."""
    while True:
        if condition():
            return
        await asyncio.sleep(0.001)


def answer_with(status: int = 200, body: bytes = b"", **headers: str) -> ASGIApp:
    """Make an application that says one thing."""
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        fixed = [(b"content-length", b"%d" % len(body)), *fields]
        await send({"type": "http.response.start", "status": status, "headers": fixed})
        await send({"type": "http.response.body", "body": body})

    return app


def serving(
    path: Path, *, count: int | None = None, length: int | None = None, offset: int | None = 0
) -> ASGIApp:
    """Make an application that sends a file, saying that it is ``length`` bytes long."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        with path.open("rb") as file:
            size = length if length is not None else path.stat().st_size - (offset or 0)
            headers = [(b"content-length", b"%d" % size)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            event: dict[str, Any] = {"type": "http.response.zerocopysend", "file": file}
            if offset is not None:
                event["offset"] = offset
            if count is not None:
                event["count"] = count
            await send(event)

    return app


def file_of(folder: Path, content: bytes) -> Path:
    path = folder / "content"
    path.write_bytes(content)
    return path


@pytest.fixture
async def harbour() -> AsyncIterator[Harbour]:
    """Besides what the servers report, nothing may reach the event loop's last resort."""
    harbour = Harbour()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda _loop, context: harbour.errors.append(
            context.get("exception") or RuntimeError(context["message"])
        )
    )
    watchdog = loop.call_later(PATIENCE, _cancel_all)  # Signals do not get through to uvloop.
    yield harbour
    await harbour.close()
    watchdog.cancel()


def _cancel_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel("the test hangs")
