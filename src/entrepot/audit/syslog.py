"""Forwards audit lines to a syslog collector (RFC 5424), over UDP, TCP or a Unix socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

import msgspec

from entrepot.audit.forward import KeptLine

__all__ = ["SyslogTarget"]

_DEADLINE = 10.0
_PRIORITY = 13 * 8 + 6
"""Facility "log audit", severity "informational" (RFC 5424, section 6.2.1)."""
_LARGEST_DATAGRAM = 60_000


class _Head(msgspec.Struct):
    time: str = "-"
    event: str = "-"


_HEAD = msgspec.json.Decoder(_Head)


class SyslogTarget:
    """``address``: ``udp://HOST:PORT``, ``tcp://HOST:PORT`` or ``unix:///PATH``.

    TCP frames messages by their length (RFC 6587, 3.4.1).  Syslog has no acknowledgements:
    what a collector loses after the system took it is lost.
    """

    def __init__(self, address: str) -> None:
        self._url = urlsplit(address)
        self._socket: socket.socket | None = None
        self._host = socket.gethostname() or "-"

    def send(self, lines: Sequence[KeptLine]) -> None:
        try:
            if self._socket is None or _is_closed(self._socket):
                self.close()
                self._socket = self._connected()
            self._send(self._socket, [self._message(line.content) for line in lines])
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _connected(self) -> socket.socket:
        host, port = self._url.hostname or "", self._url.port or 0
        if self._url.scheme == "tcp":
            return socket.create_connection((host, port), _DEADLINE)
        if self._url.scheme == "unix":
            return _datagrams(socket.AF_UNIX, self._url.path)
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        return _datagrams(family, address)

    def _send(self, connected: socket.socket, messages: list[bytes]) -> None:
        if self._url.scheme == "tcp":
            connected.sendall(b"".join(b"%d %b" % (len(message), message) for message in messages))
            return
        for message in messages:
            connected.send(message[:_LARGEST_DATAGRAM])

    def _message(self, line: bytes) -> bytes:
        head = _Head()
        with suppress(msgspec.DecodeError, UnicodeDecodeError):  # Of a line that was torn.
            head = _HEAD.decode(line)
        start = f"<{_PRIORITY}>1 {head.time} {self._host} entrepot {os.getpid()} {head.event} - "
        return start.encode("ascii", "replace") + line


def _datagrams(family: socket.AddressFamily, address: str | tuple[object, ...]) -> socket.socket:
    connected = socket.socket(family, socket.SOCK_DGRAM)
    connected.settimeout(_DEADLINE)
    try:
        connected.connect(address)
    except OSError:
        connected.close()
        raise
    return connected


def _is_closed(connected: socket.socket) -> bool:
    """Tell whether the collector ended the connection: what were sent into it now would be lost unseen."""
    if connected.type == socket.SOCK_DGRAM:
        return False
    connected.settimeout(0)
    try:
        return not connected.recv(1)
    except BlockingIOError:
        return False
    finally:
        connected.settimeout(_DEADLINE)
