"""The rest of a body straight from its socket: blocks of any size, in a thread, without a library between."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from time import monotonic

from entrepot.errors import UpstreamDown
from entrepot.upstream.deadline import deadline
from entrepot.upstream.patience import Patience

__all__ = ["SocketInflow"]

_PATIENCE_MS = 2


class SocketInflow:
    """``left`` bytes that the socket ``descriptor`` will bring; nobody else may read from it any more.

    It works on a duplicate, which event loops agree to watch, and which outlives the one it is of.
    Silence is that of the body: what else comes of an upstream does not break it.
    """

    def __init__(self, descriptor: int, left: int, host: str, read_timeout: float) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._socket.settimeout(0)
        self._left = left
        self._host = host
        self._patience = Patience(host, read_timeout)
        self._asked_at: float | None = None
        self._failure: UpstreamDown | None = None

    async def ready(self) -> bool:
        if self._failure is not None:
            raise self._failure
        now = monotonic()
        if self._asked_at is None:
            self._asked_at = now
        left = self._asked_at + self._patience.left - now
        if self._left and (left < 0 or not (self._holds_more() or self._has_more(0))):
            try:
                async with deadline(left):
                    await self._readable()
            except TimeoutError as error:
                raise self._patience.ended() from error
        return self._left > 0

    def read_into(self, buffer: memoryview) -> int:
        """Keep what goes wrong for whoever waits for more: what came before is taken care of first."""
        most = min(len(buffer), self._left)
        if not most or self._failure is not None:
            return 0
        try:
            count = self._take(buffer[:most])
        except BlockingIOError:
            return 0
        except OSError as error:
            self._end(error)
            return 0
        if count == 0:
            self._end(None)
        self._left -= count
        self._patience.rewarded(count, monotonic() - self._asked_at if self._asked_at is not None else 0.0)
        self._asked_at = None
        return count

    def close(self) -> None:
        self._socket.close()

    def _holds_more(self) -> bool:
        """Tell whether something has come that the socket does not tell of any more."""
        return False

    def _take(self, buffer: memoryview) -> int:
        """Return how many bytes of the body have come, 0 at an end.

        Raises ``BlockingIOError`` when there are none, and ``OSError`` when there will be none.
        """
        return self._receive(buffer)

    def _end(self, error: OSError | None) -> None:
        """Note why nothing will come any more; what was noted first holds."""
        if self._failure is None:
            how = f"broke its answer off: {error.strerror}" if error else "ended its answer too early"
            self._failure = UpstreamDown(f"{self._host} {how}")

    def _receive(self, buffer: memoryview) -> int:
        try:
            return self._socket.recv_into(buffer)
        except BlockingIOError:
            if not self._has_more(_PATIENCE_MS):
                raise
            return self._socket.recv_into(buffer)

    def _has_more(self, patience_ms: int) -> bool:
        """Tell whether anything has come, be it the end."""
        watch = select.poll()
        watch.register(self._socket, select.POLLIN)
        return bool(watch.poll(patience_ms))

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        come = loop.create_future()

        def note() -> None:
            if not come.done():
                come.set_result(None)

        loop.add_reader(self._socket, note)
        try:
            await come
        finally:
            loop.remove_reader(self._socket)
