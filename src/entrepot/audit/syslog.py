"""Forwards audit lines to a syslog collector (RFC 5424), over UDP, TCP or a Unix socket."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from entrepot.audit.forward import Batch

__all__ = ["SyslogTarget"]

_DEADLINE = 10.0
_PRIORITY = 13 * 8 + 6
"""Facility "log audit", severity "informational" (RFC 5424, section 6.2.1)."""
_LARGEST_DATAGRAM = 60_000


_HEAD = re.compile(r'\{"event":"(?P<event>[a-z]+)","time":"(?P<time>[0-9T:.Z-]+)"')


class SyslogTarget:
    """``address``: ``udp://HOST:PORT``, ``tcp://HOST:PORT`` or ``unix:///PATH``; ``process``: whose lines.

    TCP frames messages by their length (RFC 6587, 3.4.1).  Syslog has no acknowledgements:
    what a collector loses after the system took it is lost.
    """

    def __init__(self, address: str, process: int) -> None:
        self._process = process
        self._url = urlsplit(address)
        self._socket: socket.socket | None = None
        self._host = (socket.gethostname() or "-").encode("ascii", "replace").decode()

    def send(self, batch: Batch) -> None:
        try:
            if self._socket is None or _is_closed(self._socket):
                self.close()
                self._socket = self._connected()
            self._send(self._socket, self._messages(batch))
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

    def _send(self, connected: socket.socket, messages: Iterator[tuple[str, str]]) -> None:
        if self._url.scheme == "tcp":
            parts: list[str] = []
            for start, line in messages:
                parts += (f"{len(start) + len(line)} {start}", line)
            connected.sendall("".join(parts).encode("latin-1"))
            return
        for start, line in messages:
            connected.send(f"{start}{line}".encode("latin-1")[:_LARGEST_DATAGRAM])

    def _messages(self, batch: Batch) -> Iterator[tuple[str, str]]:
        """Yield what stands before each line, and the line; those of one moment have it in common.

        A character is a byte: to join texts costs half of what it does of bytes.
        """
        known, start = "", ""
        for line in batch.content[:-1].decode("latin-1").split("\n"):
            if not (known and line.startswith(known)):
                head = _HEAD.match(line)
                known = "" if head is None else head[0]
                start = self._start("-", "-") if head is None else self._start(head["time"], head["event"])
            yield start, line

    def _start(self, time: str, event: str) -> str:
        """Return the header of a message (RFC 5424, section 6.2), and that it has no structured data."""
        return f"<{_PRIORITY}>1 {time} {self._host} entrepot {self._process} {event} - "


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
