"""The rest of a body straight from its socket: blocks of any size, in a thread, without a library between."""

from __future__ import annotations

import asyncio
import os
import select
import socket

from entrepot.errors import UpstreamDown, UpstreamTimeout

__all__ = ["SocketInflow"]

_PATIENCE_MS = 2


class SocketInflow:
    """``left`` bytes that the socket ``descriptor`` will bring; nobody else may read from it any more.

    It works on a duplicate, which event loops agree to watch, and which outlives the one it is of.
    """

    def __init__(self, descriptor: int, left: int, host: str, read_timeout: float) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._socket.settimeout(0)
        self._left = left
        self._host = host
        self._read_timeout = read_timeout
        self._failure: UpstreamDown | None = None

    async def ready(self) -> bool:
        if self._failure is not None:
            raise self._failure
        if self._left and not self._has_more(0):
            try:
                async with asyncio.timeout(self._read_timeout):
                    await self._readable()
            except TimeoutError as error:
                raise UpstreamTimeout(
                    f"{self._host} fell silent for {self._read_timeout:g} s in the middle of an answer"
                ) from error
        return self._left > 0

    def read_into(self, buffer: memoryview) -> int:
        """Keep what goes wrong for whoever waits for more: what came before is taken care of first."""
        most = min(len(buffer), self._left)
        if not most or self._failure is not None:
            return 0
        try:
            count = self._receive(buffer, most)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._failure = UpstreamDown(f"{self._host} broke its answer off: {error.strerror}")
            return 0
        if count == 0:
            self._failure = UpstreamDown(f"{self._host} ended its answer too early")
        self._left -= count
        return count

    def _receive(self, buffer: memoryview, most: int) -> int:
        try:
            return self._socket.recv_into(buffer, most)
        except BlockingIOError:
            if not self._has_more(_PATIENCE_MS):
                raise
            return self._socket.recv_into(buffer, most)

    def close(self) -> None:
        self._socket.close()

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
