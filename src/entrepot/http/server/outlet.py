"""The way out of a connection: writes, their backpressure, and the news that the client is gone."""

from __future__ import annotations

import asyncio
import socket

from msgspec import Struct

from entrepot.http.server.asgi import ClientDisconnected

__all__ = ["Outlet", "Traffic"]


class Traffic(Struct):
    """Bytes handed to the kernel or the transport since the start; TLS counts what it encrypts."""

    bytes_sent: int = 0
    bytes_sent_by_sendfile: int = 0


class Outlet:
    """Of one connection, used by one sender at a time."""

    __slots__ = (
        "_direct",
        "_loop",
        "_mark",
        "_traffic",
        "_transport",
        "_waiter",
        "lost",
        "paused",
        "sent",
        "socket",
        "tls",
    )

    def __init__(self, transport: asyncio.Transport, mark: int, traffic: Traffic) -> None:
        self._transport = transport
        self._mark = mark
        self._traffic = traffic
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self.sent = 0
        """Bytes handed to the kernel or the transport."""
        self.lost = False
        self.paused = False
        self.tls = transport.get_extra_info("sslcontext") is not None
        self.socket: int = transport.get_extra_info("socket").fileno()
        self._direct = socket.socket(fileno=self.socket)
        """The transport's own descriptor, for what it does not offer; given up when it closes."""
        transport.set_write_buffer_limits(high=mark)

    @property
    def gone(self) -> bool:
        """No byte can reach the client; ``socket`` must not be touched, its number may be another's."""
        return self.lost or self._transport.is_closing()

    @property
    def buffered(self) -> int:
        """Bytes that the transport has not passed on yet."""
        return self._transport.get_write_buffer_size()

    @property
    def pending(self) -> bool:
        """Something waits for the client to take it."""
        return self._waiter is not None or self.buffered > 0

    @property
    def taken(self) -> int:
        """Bytes that have left this process: what shows that a slow client still reads."""
        return self.sent - self.buffered

    def write(self, data: bytes) -> None:
        """Send, or buffer what the socket does not take; raise ``ClientDisconnected``."""
        if self.lost or self._transport.is_closing():
            raise ClientDisconnected("the client is gone")
        self._transport.write(data)
        size = len(data)
        self.sent += size
        self._traffic.bytes_sent += size

    def write_ahead(self, head: bytes) -> bool:
        """Send, but let the kernel wait for what comes next, so that they leave together.

        To be called while nothing is buffered; tells whether that is still so.
        Raises ``ClientDisconnected``.
        """
        return self._send(head, socket.MSG_MORE)

    def write_now(self, data: bytes) -> None:
        """Send within this step of the event loop, if nothing is buffered; raise ``ClientDisconnected``."""
        if self.tls or self._transport.get_write_buffer_size():
            self.write(data)
        else:
            self._send(data)

    def _send(self, data: bytes, flags: int = 0) -> bool:
        try:
            taken = self._direct.send(data, flags)
        except OSError:
            taken = 0  # Whatever it is, the transport will meet it too.
        self.sent += taken
        self._traffic.bytes_sent += taken
        if taken < len(data):
            self.write(data[taken:])
        return taken == len(data)

    def write_around(self, head: bytes, body: bytes, tail: bytes) -> None:
        """Send the three in one go, without copying the body; raise ``ClientDisconnected``."""
        self.check()
        self._transport.writelines((head, body, tail))
        size = len(head) + len(body) + len(tail)
        self.sent += size
        self._traffic.bytes_sent += size

    def count_sendfile(self, size: int) -> None:
        self.sent += size
        self._traffic.bytes_sent += size
        self._traffic.bytes_sent_by_sendfile += size

    async def flush(self) -> None:
        """Wait until the transport takes more; raise ``ClientDisconnected``."""
        while self.paused and not self.gone:
            await self._wait()
        self.check()

    async def empty(self) -> None:
        """Wait until the transport has passed on all it was given; raise ``ClientDisconnected``."""
        self.check()
        if self.buffered:
            self._transport.set_write_buffer_limits(high=0)
            try:
                await self.flush()
            finally:
                self._restore_mark()

    async def room(self, socket: int) -> None:
        """Wait until a duplicate of the socket is writable; raise ``ClientDisconnected``.

        A duplicate, as event loops refuse to watch a descriptor that a transport watches.
        """
        self.check()
        self._loop.add_writer(socket, self._wake)
        try:
            await self._wait()
        finally:
            self._loop.remove_writer(socket)
        self.check()

    def check(self) -> None:
        if self.gone:
            raise ClientDisconnected("the client is gone")

    # What the connection tells.

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self._wake()

    def lose(self) -> None:
        self.lost = True
        self._direct.detach()
        self._wake()

    def _restore_mark(self) -> None:
        if not self.gone:
            self._transport.set_write_buffer_limits(high=self._mark)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
