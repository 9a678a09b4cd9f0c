"""The life of one connection: requests answered one after another, until someone has had enough."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, cast

from msgspec import Struct, field

from entrepot.http.server.asgi import ASGIApp, Scope
from entrepot.http.server.exchange import Exchange
from entrepot.http.server.limits import Limits
from entrepot.http.server.messages import Refusal, render_refusal
from entrepot.http.server.outlet import Outlet, Traffic
from entrepot.http.server.places import Places
from entrepot.http.server.requests import KnownHeads, Request, RequestReader
from entrepot.http.server.scopes import connection_scope, request_scope
from entrepot.http.server.sendfile import FileSender

__all__ = ["Connection", "Shared"]

_FULL = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
_FAILED = Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "unknown error")
_LATE = Refusal(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time")
_READ_BYTES = 64 << 10
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Shared(Struct, kw_only=True):
    """What the connections of one server have in common."""

    app: ASGIApp
    limits: Limits
    files: FileSender
    places: Places
    on_error: Callable[[Scope, Exception], None]
    on_refusal: Callable[[Refusal], None]
    signature: bytes = b""
    """The server's own headers, the time among them, each after its line break, and the end of the head."""
    now: float = 0.0
    """The event loop's time at the last sweep: exact enough for deadlines, and free."""
    stopping: bool = False
    known_heads: KnownHeads = field(default_factory=KnownHeads)
    traffic: Traffic = field(default_factory=Traffic)
    connections: set[Connection] = field(default_factory=set)
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    read_buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(_READ_BYTES)))
    """One for all: the event loop fills it and hands it over in the same step."""


class _Stage(Enum):
    WAITING = auto()
    """All places are taken, and what is said is not heard until there is one."""
    IDLE = auto()
    """Nothing of the next request is here."""
    HEAD = auto()
    """Some of a head is."""
    RUNNING = auto()
    """The application answers; it may do so even after its client has left."""
    DRAINING = auto()
    """The answer is given, and what is left of the request's body is thrown away."""
    CLOSING = auto()
    """Nothing will be said or heard any more; what was said may still be on its way."""


_IDLE, _RUNNING = _Stage.IDLE, _Stage.RUNNING  # Looking one up costs as much as parsing a header.


class Connection(asyncio.BufferedProtocol):
    """Belongs to ``Shared.connections`` until both its transport and its task are gone.

    ``deadline`` is when the stage has lasted too long; the server calls ``overdue`` then.
    """

    __slots__ = (
        "_backlog",
        "_exchange",
        "_loop",
        "_lost",
        "_outlet",
        "_peer",
        "_progress",
        "_reader",
        "_reading",
        "_received",
        "_scope_base",
        "_shared",
        "_stage",
        "_transport",
        "deadline",
    )

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._outlet: Outlet
        self._reader: RequestReader
        self._scope_base: dict[str, Any]
        self._peer = ""
        self._exchange: Exchange | None = None
        self._stage = _Stage.IDLE
        self._backlog = b""
        self._reading = True
        self._lost = False
        self._received = 0
        self._progress = -1
        self.deadline = 0.0

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        shared, limits = self._shared, self._shared.limits
        self._transport = cast("asyncio.Transport", transport)
        self._outlet = Outlet(self._transport, limits.buffer_bytes, shared.traffic)
        self._reader = RequestReader(limits, shared.known_heads)
        self._scope_base = connection_scope(self._transport)
        self._peer = (self._scope_base["client"] or ("",))[0]
        if shared.stopping or len(shared.connections) >= 2 * limits.connections:
            self._transport.abort()
            return
        shared.connections.add(self)
        shared.empty.clear()
        if shared.places.take(self):
            self._enter(_Stage.IDLE, limits.head_seconds)
        else:
            self._enter(_Stage.WAITING, limits.place_seconds)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._shared.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._shared.read_buffer[:nbytes])
        self._received += nbytes
        if self._stage is _IDLE and (request := self._shared.known_heads.find(data)):
            held, shared = request.held, self._shared
            if (
                held is not None
                and not shared.places.waiting
                and held.give(self._outlet, shared.signature, self._peer)
            ):
                self.deadline = shared.now + shared.limits.keep_alive_seconds
                return
            request.came_again = True
            self._reader.request = request
            self._begin(request)
        elif self._stage is _Stage.WAITING:
            self._backlog += data
            self._read(on=False)
        elif self._stage is not _Stage.CLOSING:
            self._consume(self._backlog + data)

    def eof_received(self) -> bool:
        """Tell the application that the client may have left, or may only have closed its side.

        The next write will show; where nothing will be written any more the connection ends.
        """
        if self._exchange is None or self._outlet.tls:
            self._abandon()
            return False
        self._exchange.hang_up()
        return True

    def connection_lost(self, _exc: Exception | None) -> None:
        self._lost = True
        self._reader.close()
        self._abandon()
        self._release()

    def pause_writing(self) -> None:
        self._outlet.pause()

    def resume_writing(self) -> None:
        self._outlet.resume()

    # What the server calls.

    def admit(self) -> None:
        if self._stage is _Stage.WAITING:
            self._enter(_Stage.IDLE, self._shared.limits.head_seconds)
            self._consume(self._backlog)

    def idle_for(self, now: float) -> float:
        limits = self._shared.limits
        allowed = limits.keep_alive_seconds if self._received else limits.head_seconds
        return now - (self.deadline - allowed) if self._stage is _Stage.IDLE else 0.0

    def drain(self) -> None:
        """Close now, or after the running answer."""
        if self._exchange is not None:
            self._exchange.keep_alive = False
        elif self._stage is not _Stage.CLOSING:
            self._close()

    def overdue(self, now: float) -> None:
        match self._stage:
            case _Stage.WAITING:
                self._shared.places.leave(self)
                self._refuse(_FULL)
            case _Stage.IDLE:
                self._close()
            case _Stage.HEAD:
                self._refuse(_LATE)
            case _Stage.RUNNING if self._outlet.gone:
                self.deadline = now + self._shared.limits.abandoned_seconds
                self.cancel()
            case _Stage.DRAINING:
                self._close(unread=True)
            case _Stage.RUNNING | _Stage.CLOSING:
                self._check_progress(now)

    def abort(self) -> None:
        """End the connection by a reset, so that no client takes what it got for the whole."""
        if self._lost:
            return
        with contextlib.suppress(OSError):
            self._transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
            )
        self._transport.abort()

    def cancel(self) -> None:
        """Cancel the running exchange; one that has not begun will not even hear of it."""
        exchange = self._exchange
        if exchange is not None and exchange.task is not None:
            exchange.task.cancel()
            if not exchange.started:
                self.exchange_over()

    # What the exchange calls.

    def resume_body(self) -> None:
        self._read(on=not self._backlog)

    def will_drain(self, request: Request) -> bool:
        if request.expects_continue:
            return False  # The client may send the body or not; only closing is clear.
        return self._reader.body_left <= self._shared.limits.drain_bytes

    def report(self, scope: Scope, error: Exception) -> None:
        self._shared.on_error(scope, error)

    def exchange_over(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is None or self._outlet.gone:
            self._enter(_Stage.CLOSING, self._shared.limits.stall_seconds)
            self._release()
        elif exchange.complete and exchange.keep_alive and exchange.request.complete:
            self._await_request()
            if self._backlog or not self._reading:
                self._consume(self._backlog)
        elif exchange.complete and exchange.keep_alive:
            self._enter(_Stage.DRAINING, self._shared.limits.head_seconds)
            self._reader.discard()
            self._read(on=True)
        elif exchange.complete:
            self._close(unread=bool(self._backlog) or not exchange.request.complete)
        elif exchange.head_sent:
            self.abort()
        else:
            self._answer(exchange.refusal or _FAILED)

    # From bytes to requests.

    @property
    def _request_is_whole(self) -> bool:
        return self._reader.request is not None and self._reader.request.complete

    def _consume(self, data: bytes) -> None:
        """Parse until a whole request is running; keep the rest for later."""
        position = 0
        try:
            while position < len(data) and not self._request_is_whole:
                position = self._reader.feed(data, position)
                self._advance()
        except Refusal as refusal:
            self._backlog = b""
            self._refuse(refusal)
            return
        self._backlog = data[position:]
        self._read(on=not self._backlog and self._reader.unread <= self._shared.limits.buffer_bytes)

    def _advance(self) -> None:
        """Act on what the last piece has brought."""
        request = self._reader.request
        if self._exchange is not None:
            self._exchange.wake()
        elif self._stage is _Stage.DRAINING:
            if self._request_is_whole:
                self._await_request()
        elif request is not None:
            self._begin(request)
        elif self._reader.in_head and self._stage is _Stage.IDLE:
            self._enter(_Stage.HEAD, self._shared.limits.head_seconds)

    def _begin(self, request: Request) -> None:
        self._enter(_RUNNING, self._shared.limits.stall_seconds)
        shared = self._shared
        scope = request_scope(self._scope_base, request)
        self._exchange = exchange = Exchange(self, request, self._outlet, shared.files, shared.signature)
        exchange.keep_alive = exchange.keep_alive and not shared.places.waiting
        exchange.task = self._loop.create_task(exchange.run(shared.app, scope), name=scope["path"])

    def _await_request(self) -> None:
        self._reader.forget()
        self._enter(_IDLE, self._shared.limits.keep_alive_seconds)

    def _read(self, *, on: bool) -> None:
        if on is not self._reading:
            self._reading = on
            if on:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # Ends.

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what cannot be understood, unless an answer is being given or was given."""
        if self._exchange is not None:
            self._exchange.hang_up(refusal)
        elif self._stage is _Stage.DRAINING:
            self._close(unread=True)
        else:
            self._answer(refusal)

    def _answer(self, refusal: Refusal) -> None:
        request = self._reader.request
        with_body = request is None or request.fields["method"] != "HEAD"
        self._shared.on_refusal(refusal)
        if not self._outlet.gone:
            self._outlet.write(render_refusal(refusal, self._shared.signature, with_body=with_body))
        self._close(unread=True)

    def _close(self, *, unread: bool = False) -> None:
        """Say no more.

        A socket that is closed over unread bytes resets, and the client may lose the answer: so
        read on for a while (RFC 9112, 9.6).
        """
        limits = self._shared.limits
        self._backlog = b""
        if not unread or self._outlet.tls or self._outlet.gone:
            self._enter(_Stage.CLOSING, limits.stall_seconds)
            self._transport.close()
            return
        self._enter(_Stage.CLOSING, limits.linger_seconds)
        self._read(on=True)
        try:
            self._transport.write_eof()
        except OSError:
            self._transport.abort()

    def _check_progress(self, now: float) -> None:
        """Give up a client that neither takes nor sends what is waited for."""
        exchange, pending = self._exchange, self._outlet.pending
        progress = self._outlet.taken + self._received
        waits = pending or (exchange is not None and exchange.awaits_body)
        if exchange is None and not pending:
            self._transport.abort()
        elif waits and progress == self._progress:
            self.abort()
        self._progress = progress if waits else -1  # Waiting begins anew, even if no byte moves.
        self.deadline = now + self._shared.limits.stall_seconds

    def _abandon(self) -> None:
        self._outlet.lose()
        if self._exchange is not None:
            self.deadline = self._shared.now + self._shared.limits.abandoned_seconds
            self._exchange.wake()

    def _release(self) -> None:
        if self._lost and self._exchange is None:
            self._shared.connections.discard(self)
            self._shared.places.leave(self)
            if not self._shared.connections:
                self._shared.empty.set()

    def _enter(self, stage: _Stage, seconds: float) -> None:
        self._stage = stage
        self.deadline = self._shared.now + seconds
