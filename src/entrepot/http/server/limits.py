"""How much one client, or all of them together, may ask of the server."""

from __future__ import annotations

import resource
from typing import Self

from msgspec import Struct

__all__ = ["Limits", "raise_descriptor_limit"]


def raise_descriptor_limit() -> None:
    """Ask for as many open files as the system allows: a client takes up to four."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Limits(Struct, frozen=True, kw_only=True):
    connections: int = 20_000
    """Beyond it a client waits for a place.  Beyond twice as many it is not even told that there is none."""

    place_seconds: float = 5
    """For a place to become free; then a client is told 503, as containerd and its like try the next
    mirror, while one that is left in the listen queue hangs."""

    head_bytes: int = 32 << 10
    """Request line and headers; more is a 431."""

    headers: int = 100
    """More is a 431."""

    target_bytes: int = 8 << 10
    """Path and query; more is a 414."""

    body_bytes: int = 4 << 20
    """Most that a request's body may hold for the application to read, framing included; more is a 413."""

    drain_bytes: int = 64 << 10
    """What is read and thrown away of a body that the application left, before the connection is given up."""

    buffer_bytes: int = 64 << 10
    """``send`` waits while more than this is on its way to the client; ``receive`` keeps no more unread."""

    head_seconds: float = 30
    """For a whole head to arrive, and for a TLS handshake."""

    keep_alive_seconds: float = 75
    """For the next request to begin."""

    stall_seconds: float = 300
    """For a client to take, or to send, some byte that is waited for; it has twice that at most."""

    linger_seconds: float = 2
    """For a client to read the last answer after it sent what nobody will read."""

    abandoned_seconds: float = 60
    """For the application to notice that its client is gone, before it is cancelled."""

    sweep_seconds: float = 1
    """Between two looks at all these times, and the age of the ``Date`` header."""

    file_threads: int = 8
    """Threads that wait for the disk when large files are sent."""

    @classmethod
    def of_process(cls) -> Self:
        """Leave a quarter of the files that may be open to blobs and upstreams.

        A client takes four of the rest: its socket, two duplicates while a file is sent, and the socket
        of one who waits meanwhile.
        """
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls(connections=min(cls().connections, max(1, soft * 3 // 16)))
