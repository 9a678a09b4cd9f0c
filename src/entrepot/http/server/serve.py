"""Listeners, the clock of all connections, and the end of it all."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from email.utils import formatdate

from entrepot.http.server.asgi import ASGIApp, Scope
from entrepot.http.server.connection import Connection, Shared
from entrepot.http.server.limits import Limits
from entrepot.http.server.messages import Refusal
from entrepot.http.server.places import Places
from entrepot.http.server.sendfile import FileSender

__all__ = ["Server"]

_BACKLOG = 4096
_CANCELLED_SECONDS = 5.0
_NO_SUCH_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A host without IPv6 still knows ``localhost`` by an IPv6 address."""


class Server:
    """Serves one application on any number of addresses, from ``start`` until ``stop``.

    ``on_error`` hears of exceptions that the application let out; without it the event
    loop's exception handler does.  ``on_refusal`` hears of every answer that the server
    gave by itself.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        on_error: Callable[[Scope, Exception], None] | None = None,
        on_refusal: Callable[[Refusal], None] | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._tls = tls
        self._listeners: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._shared = Shared(
            app=app,
            limits=self._limits,
            files=FileSender(self._limits.file_threads),
            places=Places(self._limits.connections),
            on_error=on_error or _tell_loop,
            on_refusal=on_refusal or (lambda _: None),
        )
        self._shared.empty.set()

    @property
    def connections(self) -> int:
        """Connections that are open, or whose request is still worked on."""
        return len(self._shared.connections)

    @property
    def bytes_sent(self) -> int:
        """Bytes sent since the start, heads included."""
        return self._shared.traffic.bytes_sent

    @property
    def bytes_sent_by_sendfile(self) -> int:
        """Those of them that never were in this process."""
        return self._shared.traffic.bytes_sent_by_sendfile

    async def start(self, host: str | None, port: int) -> list[tuple[str, int]]:
        """Listen; return the addresses bound.

        Without a host on all of them, IPv4 and IPv6 alike.  Port 0 lets the kernel choose,
        one for all addresses of the host.  Raises ``OSError``.
        """
        if self._sweeper is None:
            self._sweep()
        loop = asyncio.get_running_loop()
        sockets = await _bind(host, port)
        for listener in sockets:
            # What is accepted inherits it; asyncio sets it on sockets that name their protocol only.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._listeners.append(
                await loop.create_server(
                    lambda: Connection(self._shared),
                    sock=listener,
                    backlog=_BACKLOG,
                    ssl=self._tls,
                    ssl_handshake_timeout=self._limits.head_seconds if self._tls else None,
                    ssl_shutdown_timeout=self._limits.stall_seconds if self._tls else None,
                )
            )
        return [listener.getsockname()[:2] for listener in sockets]

    async def stop(self, drain_seconds: float) -> None:
        """Accept no more; give running answers so long to finish, then cut them off."""
        self._shared.stopping = True
        for listener in self._listeners:
            listener.close()
        for connection in tuple(self._shared.connections):
            connection.drain()
        if not await self._emptied(drain_seconds):
            for connection in tuple(self._shared.connections):
                connection.abort()
                connection.cancel()
            await self._emptied(_CANCELLED_SECONDS)
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._shared.files.close()

    async def _emptied(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._shared.empty.wait()
        except TimeoutError:
            return False
        return True

    def _sweep(self) -> None:
        """Look at every deadline at once: cheaper than a timer for each request."""
        loop = asyncio.get_running_loop()
        before, now = self._shared.now, loop.time()
        self._shared.now = now
        self._shared.signature = f"\r\ndate: {formatdate(usegmt=True)}\r\nserver: entrepot\r\n\r\n".encode(
            "ascii"
        )
        self._sweeper = loop.call_later(self._limits.sweep_seconds, self._sweep)
        for connection in [one for one in self._shared.connections if one.deadline <= now]:
            connection.overdue(now)
        # A stage is dated by the look before it: who has come since then may have come just now.
        self._shared.places.clear_for_others(before)


async def _bind(host: str | None, port: int) -> list[socket.socket]:
    if not host:
        dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual else socket.AF_INET
        return [socket.create_server(("", port), family=family, dualstack_ipv6=dual, backlog=_BACKLOG)]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    refused = OSError(errno.EADDRNOTAVAIL, f"{host} has no address")
    for family, _, _, _, address in dict.fromkeys(found):
        port = port or (sockets[0].getsockname()[1] if sockets else 0)
        try:
            sockets.append(socket.create_server((str(address[0]), port), family=family, backlog=_BACKLOG))
        except OSError as error:
            refused = error
            if error.errno not in _NO_SUCH_FAMILY:
                break
    else:
        if sockets:
            return sockets
    for bound in sockets:
        bound.close()
    raise refused


def _tell_loop(scope: Scope, error: Exception) -> None:
    asyncio.get_running_loop().call_exception_handler(
        {"message": f"the application failed on {scope['method']} {scope['path']}", "exception": error}
    )
