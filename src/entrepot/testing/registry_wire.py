"""HTTP/1.1 by hand, because a fake registry must be able to break it at any byte."""

from __future__ import annotations

import asyncio
import itertools
import mmap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["Answer", "Fault", "Request", "deliver", "read_request"]

_PIECE = 256 << 10
_SLICES_PER_SECOND = 20


@dataclass(frozen=True, slots=True)
class Request:
    """``kind`` is what the routes took it for: ping, manifest, blob, tags, referrers, token or other."""

    method: str
    target: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    kind: str = "other"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | mmap.mmap | memoryview = b""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave; the fields combine.

    An offset is a number of bytes if it is an ``int``, a fraction of the body if it is a ``float``.
    ``hold`` ends a hang when it is set; without it the hang lasts until the client leaves.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    without_headers: tuple[str, ...] = ()
    body: bytes | None = None
    corrupt: bool = False
    raw: bytes | None = None
    ignore_range: bool = False
    content_length: int | None = None
    chunked: bool = False
    no_length: bool = False
    hang_before_head: bool = False
    hang_after: float | None = None
    hold: asyncio.Event | None = None
    cut_after: float | None = None
    bytes_per_second: float | None = None

    def apply(self, answer: Answer) -> Answer:
        """Return the answer with what it says changed; how it is sent is for ``deliver``."""
        body = answer.body
        if self.status is not None:
            body = b'{"errors":[{"code":"UNKNOWN","message":"scripted fault"}]}'
            answer = Answer(self.status, {"Content-Type": "application/json"}, body)
        if self.body is not None:
            body = self.body
        elif self.corrupt and body:
            body = bytes(memoryview(body)[:-1]) + bytes([body[-1] ^ 0xFF])
        headers = {name: value for name, value in answer.headers.items() if name not in self.without_headers}
        return replace(answer, headers={**headers, **self.headers}, body=body)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read one request; ``None`` when the client has gone."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Request(method, target, unquote(parts.path), dict(parse_qsl(parts.query)), headers, body)


async def deliver(
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    request: Request,
    answer: Answer,
    fault: Fault,
    count: Callable[[int], None],
) -> bool:
    """Send an answer as ``fault`` says; tell ``count`` the bytes of body that went out.

    Returns whether the connection may be used again.
    """
    reader, writer = streams
    if fault.raw is not None:
        writer.write(fault.raw)
        await writer.drain()
        return False
    if fault.hang_before_head:
        await _hang(reader, fault)
    writer.write(_head(answer, fault))
    body = memoryview(b"" if request.method == "HEAD" else answer.body)
    cut = _offset(fault.cut_after, len(body))
    hang = _offset(fault.hang_after, len(body))
    for start, stop in _pieces(len(body) if cut is None else cut, hang, fault):
        await _write(writer, body[start:stop], fault, count)
        if stop == hang:
            await _hang(reader, fault)
    if cut is not None:
        return False
    if fault.chunked and request.method != "HEAD":
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    lied = fault.content_length is not None and fault.content_length != len(body)
    return not (fault.no_length or lied)


def _head(answer: Answer, fault: Fault) -> bytes:
    headers = {"Content-Length": str(len(answer.body)), **answer.headers}
    if fault.content_length is not None:
        headers["Content-Length"] = str(fault.content_length)
    if fault.chunked or fault.no_length:
        del headers["Content-Length"]
        headers.update({"Transfer-Encoding": "chunked"} if fault.chunked else {"Connection": "close"})
    try:
        reason = HTTPStatus(answer.status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _offset(given: float | None, length: int) -> int | None:
    if given is None:
        return None
    return min(length, int(given * length) if isinstance(given, float) else given)


def _pieces(stop: int, hang: int | None, fault: Fault) -> list[tuple[int, int]]:
    """Divide a body for sending, with a boundary where it is to hang."""
    rate = fault.bytes_per_second
    step = _PIECE if rate is None else max(1, int(rate / _SLICES_PER_SECOND))
    marks = sorted({*range(0, stop, step), stop, *([hang] if hang is not None and hang <= stop else [])})
    if hang == 0:
        return [(0, 0), *itertools.pairwise(marks)]
    return list(itertools.pairwise(marks))


async def _write(
    writer: asyncio.StreamWriter, piece: memoryview, fault: Fault, count: Callable[[int], None]
) -> None:
    if piece:
        count(len(piece))  # First: who has read the bytes may look at the count.
        writer.write(b"%x\r\n%b\r\n" % (len(piece), bytes(piece)) if fault.chunked else piece)
    await writer.drain()
    if fault.bytes_per_second is not None:
        await asyncio.sleep(len(piece) / fault.bytes_per_second)


async def _hang(reader: asyncio.StreamReader, fault: Fault) -> None:
    """Wait for the test's word, or for the client to leave."""
    if fault.hold is not None:
        await fault.hold.wait()
        return
    await reader.read(1)
    raise ConnectionResetError("the client left a hung answer")
