"""The rest of an encrypted body straight from its socket: decrypted by the thread that writes it."""

from __future__ import annotations

import errno
import ssl
from time import monotonic
from typing import Any, cast

from entrepot.upstream.inflow import SocketInflow

__all__ = ["OpenTls", "TlsInflow", "open_up"]

_BLOCK = 64 << 10
_PATIENCE = 0.05
"""Seconds for which a thread stays with what comes in drops; then whoever waits for it judges the silence."""


class OpenTls(ssl.SSLObject):
    """The state of an encrypted connection, with the buffers between it and the socket."""

    incoming: ssl.MemoryBIO
    outgoing: ssl.MemoryBIO


def open_up(context: ssl.SSLContext) -> None:
    """Have the connections of ``context`` be of ``OpenTls``, whoever makes them; no more of it changes."""
    wrap = context.wrap_bio

    def wrap_bio(incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *rest: Any, **named: Any) -> ssl.SSLObject:
        tls = wrap(incoming, outgoing, *rest, **named)
        if isinstance(tls, OpenTls):
            tls.incoming, tls.outgoing = incoming, outgoing
        return tls

    context.sslobject_class = OpenTls
    vars(context)["wrap_bio"] = wrap_bio


class TlsInflow(SocketInflow):
    """Goes on where whoever had ``tls`` before has stopped, with what it had received already.

    An end without a farewell is no danger, as the length is known; nor is one with it before that.
    """

    def __init__(self, tls: OpenTls, descriptor: int, left: int, host: str, read_timeout: float) -> None:
        super().__init__(descriptor, left, host, read_timeout)
        self._tls = tls
        self._block = memoryview(bytearray(_BLOCK))
        self._is_dry = False

    def _holds_more(self) -> bool:
        tls = self._tls
        return not self._is_dry and (tls.incoming.pending > 0 or tls.pending() > 0)

    def _take(self, buffer: memoryview) -> int:
        """Fill the buffer if that can be: a record has 16 KiB at most, and small writes cost more."""
        done, count, until = 0, 1, monotonic() + _PATIENCE
        try:
            while done < len(buffer) and count:
                count = self._decrypt(buffer[done:], until)
                done += count
        except BlockingIOError:
            if not done:
                raise
        except OSError as error:
            self._end(error)
        if not count:
            self._end(None)
        return done

    def _decrypt(self, buffer: memoryview, until: float) -> int:
        """Return how many bytes a record has brought; raise ``BlockingIOError`` where that takes too long."""
        while True:
            if self._holds_more():
                try:
                    return cast("int", self._tls.read(len(buffer), buffer))
                except ssl.SSLWantReadError:
                    self._is_dry = True
                finally:
                    self._answer()
            if monotonic() > until:
                raise BlockingIOError
            count = self._receive(self._block)
            if not count:
                return 0
            self._tls.incoming.write(self._block[:count])
            self._is_dry = False

    def _answer(self) -> None:
        """Send what TLS itself has to say, as when it shakes hands anew (RFC 5246, section 7.4.1.1)."""
        if self._tls.outgoing.pending:
            try:
                self._socket.sendall(self._tls.outgoing.read())
            except BlockingIOError as error:
                raise BrokenPipeError(errno.EPIPE, "it does not listen") from error
