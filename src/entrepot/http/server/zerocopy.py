"""A file to a socket inside the kernel: one call at a time, and what its failures mean."""

from __future__ import annotations

import errno
import os

from entrepot.http.server.asgi import ClientDisconnected

__all__ = ["ShortFile", "is_in_memory", "send_some"]

_PROBE = [bytearray(1)]
_CLIENT_GONE = frozenset(
    (
        errno.EPIPE,
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.ENOTCONN,
        errno.ETIMEDOUT,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENETDOWN,
    )
)


class ShortFile(EOFError):
    """The file ends before the bytes that were promised of it."""


def send_some(socket: int, file: int, offset: int, count: int) -> int:
    """Send what the socket takes of ``count`` bytes; return how many that were: 0 when it is full.

    Raises ``ClientDisconnected``, ``ShortFile``, and ``OSError`` for what the disk does.
    """
    try:
        sent = os.sendfile(socket, file, offset, count)
    except BlockingIOError:
        return 0
    except OSError as error:
        if error.errno in _CLIENT_GONE:
            raise ClientDisconnected("the client is gone") from error
        raise
    if not sent:
        raise ShortFile(f"{count} bytes are missing at offset {offset}")
    return sent


def is_in_memory(file: int, offset: int, *, unknown: bool) -> bool:
    """Ask for one byte, but not for the disk; ``unknown`` is the answer where that cannot be asked."""
    try:
        os.preadv(file, _PROBE, offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return unknown
    return True
