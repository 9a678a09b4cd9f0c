"""One request and its answer: ASGI's events on one side, exact framing on the other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Protocol

from entrepot.http.server.asgi import ASGIApp, ClientDisconnected, Headers, Message, ResponseInvalid, Scope
from entrepot.http.server.at_hand import HeldAnswer
from entrepot.http.server.messages import Refusal, ResponseHead, render_fields
from entrepot.http.server.outlet import Outlet
from entrepot.http.server.requests import Request
from entrepot.http.server.sendfile import FileSender

__all__ = ["Exchange", "Owner"]

_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_JOINED_BYTES = 64 << 10
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Owner(Protocol):
    """What an exchange needs of its connection."""

    def resume_body(self) -> None:
        """Go on reading: the application has taken what there was."""
        ...

    def will_drain(self, request: Request) -> bool:
        """Tell whether the connection can be kept although the body is not wholly read."""
        ...

    def abort(self) -> None:
        """End the connection so that the client can tell."""
        ...

    def report(self, scope: Scope, error: Exception) -> None: ...

    def exchange_over(self) -> None: ...


class Exchange:
    """``started``: the task runs; ``head_sent``: some of the answer was written; ``complete``: all was.

    ``refusal`` is what the client is told where the application says nothing.
    """

    started = False
    complete = False
    head_sent = False
    refusal: Refusal | None = None
    task: asyncio.Task[None] | None = None
    _head: ResponseHead | None = None
    _left: int | None = None
    _news: asyncio.Future[None] | None = None
    _chunked = False
    _busy = False
    _body_delivered = False
    _hung_up = False

    def __init__(
        self, owner: Owner, request: Request, outlet: Outlet, files: FileSender, signature: bytes
    ) -> None:
        self._owner = owner
        self._signature = signature
        self.request = request
        self._outlet = outlet
        self._files = files
        self._bodiless = request.fields["method"] == "HEAD"
        self.keep_alive = request.keep_alive

    @property
    def awaits_body(self) -> bool:
        """The application waits for the client to send."""
        return self._news is not None and not self.request.complete

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Be the outermost frame of the request's task."""
        self.started = True
        try:
            await app(scope, self.receive, self.send)
        except ClientDisconnected:
            pass  # Said by send, and how an application should end when it hears it.
        except Exception as error:  # noqa: BLE001 - the outermost frame: whatever it is, the server lives on.
            self._owner.report(scope, error)
        finally:
            self.task = None
            self._owner.exchange_over()

    def wake(self) -> None:
        """Tell ``receive`` that something has come, or that nothing will."""
        if self._news is not None:
            if not self._news.done():
                self._news.set_result(None)
            self._news = None

    def hang_up(self, refusal: Refusal | None = None) -> None:
        """Hear no more from the client: for ``receive`` it is gone, though it may still read."""
        self.refusal = refusal
        self.keep_alive = False
        self._hung_up = True
        self.wake()

    async def receive(self) -> Message:
        request = self.request
        while not self._deaf and not self._body_delivered:
            if request.body or request.complete:
                return self._take_body()
            if request.expects_continue and not self.head_sent:
                request.expects_continue = False
                self._outlet.write(_CONTINUE)
            await self._wait()
        while not self._deaf:
            await self._wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take one event of ASGI; wait while the client has enough to read.

        Raises ``ClientDisconnected``, ``ResponseInvalid``, ``ShortFile``, and ``OSError`` for a
        file that cannot be read.  After any of them the answer will not end cleanly; ``sent`` in
        the event of a file then tells how many of its bytes have left.
        """
        if self._busy:
            raise ResponseInvalid("send() was called while another send() waits")
        match message["type"]:
            case "http.response.body":
                self._send_body(message.get("body", b""), more=message.get("more_body", False))
                if self._outlet.paused:
                    await self._wait_for(self._outlet.flush())
            case "http.response.start":
                if self._outlet.lost:
                    raise ClientDisconnected("the client is gone")
                self._start(message["status"], message.get("headers", ()))
            case "http.response.zerocopysend":
                await self._send_file(message)
            case "entrepot.abort":
                self._owner.abort()
            case "entrepot.at_hand":
                self._hold(message)
            case unknown:
                raise ResponseInvalid(f"unknown event {unknown!r}")

    @property
    def _deaf(self) -> bool:
        return self.complete or self._outlet.gone or self._hung_up

    async def _wait(self) -> None:
        """Shielded, as more than one task may wait for news and each may be cancelled."""
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._news)

    def _take_body(self) -> Message:
        request = self.request
        body = bytes(request.body or b"")
        request.body = None
        self._body_delivered = request.complete
        self._owner.resume_body()
        return {"type": "http.request", "body": body, "more_body": not request.complete}

    def _start(self, status: int, headers: Headers) -> None:
        if self._head is not None:
            raise ResponseInvalid("the response was started twice")
        try:
            head = render_fields(status, tuple(headers))
        except TypeError:  # ASGI lets the pairs be lists, which no cache can hold.
            head = render_fields(status, tuple(map(tuple, headers)))
        self._bodiless = self._bodiless or status in _BODILESS
        self._left = None if self._bodiless else head.content_length
        self._head = head
        if head.closes:
            self.keep_alive = False

    def _take_head(self, size: int, *, more: bool) -> bytes:
        """Count what is about to be sent, and give the head where it was not given yet."""
        if self._head is None or self.complete:
            raise ResponseInvalid("a body outside of a response")
        if self._left is not None:
            left = self._left - size
            if left < 0 or (left and not more):
                raise ResponseInvalid("the body is not as long as its content-length")
            self._left = left
        if self.head_sent:
            return b""
        self.head_sent = True
        return self._finish_head(self._head)

    def _finish_head(self, head: ResponseHead) -> bytes:
        block = head.block
        if self._left is None and not self._bodiless:
            block += self._choose_framing()
        if self.keep_alive and not self.request.complete:
            self.keep_alive = self._owner.will_drain(self.request)
        if not self.keep_alive:
            block += b"\r\nconnection: close"
        elif self.request.fields["http_version"] == "1.0":
            block += b"\r\nconnection: keep-alive"
        return block + self._signature

    def _choose_framing(self) -> bytes:
        """RFC 9112, 6.3: without a length, chunks; where those are unknown, until the connection closes."""
        if self.request.fields["http_version"] == "1.0":
            self.keep_alive = False
            return b""
        self._chunked = True
        return b"\r\ntransfer-encoding: chunked"

    def _send_body(self, body: bytes, *, more: bool) -> None:
        head, tail = self._take_head(len(body), more=more), b""
        if self._bodiless:
            body = b""
        elif self._chunked:
            opening, tail = _chunk(len(body), more=more)
            head += opening
        if len(body) <= _JOINED_BYTES:
            self._outlet.write(head + body + tail)
        else:
            self._outlet.write_around(head, body, tail)
        if not more:
            self._end()

    async def _send_file(self, message: Message) -> None:
        file, offset, count = _span(message)
        more = message.get("more_body", False)
        if self._bodiless or not count:
            self._send_body(b"", more=more)
            return
        head = self._take_head(count, more=more)
        closing = b""
        if self._chunked:
            opening, closing = _chunk(count, more=more)
            head += opening
        sent = self._files.send_now(self._outlet, head, file, offset, count)
        if sent < count:
            before = self._outlet.sent - sent
            try:
                await self._wait_for(self._files.send(self._outlet, file, offset + sent, count - sent))
            except BaseException:
                message["sent"] = self._outlet.sent - before
                raise
        if closing:
            self._outlet.write(closing)
        if message.get("offset") is None:
            os.lseek(file, offset + count, os.SEEK_SET)
        if not more:
            self._end()

    def _hold(self, message: Message) -> None:
        """Keep the answer that was given, unless something of it was for this connection alone."""
        head, body, request = self._head, b"" if self._bodiless else message["body"], self.request
        if head is None or not self.complete or (not self._bodiless and head.content_length != len(body)):
            raise ResponseInvalid("the answer to hold is not the one that was given")
        if self.keep_alive and request.fields["http_version"] == "1.1":
            request.held = HeldAnswer(head.block, body, message["answer"])

    async def _wait_for(self, step: Awaitable[None]) -> None:
        self._busy = True
        try:
            await step
        finally:
            self._busy = False

    def _end(self) -> None:
        self.complete = True
        if self._news is not None:
            self.wake()


def _chunk(size: int, *, more: bool) -> tuple[bytes, bytes]:
    """Give what goes before and after so many bytes; an empty chunk would end the body."""
    opening, closing = (b"%x\r\n" % size, b"\r\n") if size else (b"", b"")
    return opening, closing if more else closing + b"0\r\n\r\n"


def _span(message: Message) -> tuple[int, int, int]:
    """Read file, offset and count; without an offset the file's own, without a count until its end."""
    file = message["file"]
    if not isinstance(file, int):
        file = file.fileno()
    offset, count = message.get("offset"), message.get("count")
    if offset is None:
        offset = os.lseek(file, 0, os.SEEK_CUR)
    if count is None:
        count = max(os.fstat(file).st_size - offset, 0)
    if offset < 0 or count < 0:
        raise ResponseInvalid(f"offset {offset} and count {count} span nothing")
    return file, offset, count
