"""Files to sockets inside the kernel, without stalling the event loop on a slow disk."""

from __future__ import annotations

import asyncio
import os
import select
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from entrepot.http.server.asgi import ClientDisconnected
from entrepot.http.server.outlet import Outlet
from entrepot.http.server.turns import Turns, needs_no_disk
from entrepot.http.server.zerocopy import ShortFile, is_in_memory, send_some

__all__ = ["FileSender", "ShortFile"]

_INLINE_BYTES = 256 << 10
_STEP_BYTES = 32 << 20
_PATIENCE_MS = 50
_TLS_STEP_BYTES = 512 << 10


class FileSender:
    """What is small and in memory is sent at once; the rest of what is in memory by a thread, in turns.

    For what is not there are a few threads that wait for the disk.  While they are enough for all, one
    stays with its client for a step: to come back to the event loop each time that a socket is full
    would cost as much as the sending.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._senders = 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sendfile")
        self._turns = Turns()

    def close(self) -> None:
        """Do not wait: a step on a hung disk ends by itself, and its descriptors with it."""
        self._turns.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def send_now(self, outlet: Outlet, head: bytes, file: int, offset: int, count: int) -> int:
        """Send ``head``, and of the file what needs no waiting, if only a little was to be sent of it.

        Returns how many bytes of the file were sent.  Raises as ``send`` does.
        """
        in_line = count <= _INLINE_BYTES and not outlet.tls and not outlet.buffered
        if not in_line or not is_in_memory(file, offset, unknown=True):
            if head:
                outlet.write(head)
            return 0
        outlet.check()
        if head and not outlet.write_ahead(head):
            return 0
        sent = _pump(outlet.socket, file, offset, count)
        outlet.count_sendfile(sent)
        return sent

    async def send(self, outlet: Outlet, file: int, offset: int, count: int) -> None:
        """Send ``count`` bytes of ``file``, after all that was written to ``outlet`` before.

        Raises ``ClientDisconnected``, ``ShortFile``, and ``OSError`` for what the disk does.
        """
        self._senders += 1
        try:
            if outlet.tls:
                await self._encrypt(outlet, file, offset, count)
            else:
                await outlet.empty()
                await self._send_in_steps(outlet, file, offset, count)
        finally:
            self._senders -= 1

    async def _send_in_steps(self, outlet: Outlet, file: int, offset: int, count: int) -> None:
        """Work on duplicates: both descriptors may be closed, and their numbers reused, under a thread."""
        descriptors: list[int] = []
        job: Future[int] | None = None
        try:
            descriptors.append(socket := os.dup(outlet.socket))
            descriptors.append(file := os.dup(file))
            while True:
                outlet.check()
                step = min(count, _STEP_BYTES)
                if needs_no_disk(file, offset, step):
                    job = self._turns.take(outlet, socket, file, offset, step)
                else:
                    job = self._pool.submit(self._pump_on, outlet, socket, file, offset, step)
                sent = await asyncio.wrap_future(job)
                outlet.count_sendfile(sent)
                offset += sent
                count -= sent
                if not count:
                    return
                if sent < step:
                    await outlet.room(socket)
        finally:
            _close_after(job, *descriptors)

    def _pump_on(self, outlet: Outlet, socket: int, file: int, offset: int, count: int) -> int:
        """Send until the client is slow, or somebody else may need the thread; return how many bytes."""
        sent = _pump(socket, file, offset, count)
        with suppress(ClientDisconnected):  # The next step meets it again; what was sent until then counts.
            while sent < count and self._senders <= self._threads and not outlet.gone and _has_room(socket):
                sent += _pump(socket, file, offset + sent, count - sent)
        return sent

    async def _encrypt(self, outlet: Outlet, file: int, offset: int, count: int) -> None:
        file = os.dup(file)
        job: Future[bytes] | None = None
        try:
            while count:
                job = self._pool.submit(os.pread, file, min(count, _TLS_STEP_BYTES), offset)
                chunk = await asyncio.wrap_future(job)
                if not chunk:
                    raise ShortFile(f"{count} bytes are missing at offset {offset}")
                outlet.write(chunk)
                await outlet.flush()
                offset += len(chunk)
                count -= len(chunk)
        finally:
            _close_after(job, file)


def _pump(socket: int, file: int, offset: int, count: int) -> int:
    """Send until the socket is full; return how many bytes.

    Raises ``ClientDisconnected`` where not even one could be sent.
    """
    sent = 0
    while sent < count:
        try:
            step = send_some(socket, file, offset + sent, count - sent)
        except ClientDisconnected:
            if not sent:
                raise
            step = 0
        if not step:
            break
        sent += step
    return sent


def _has_room(socket: int) -> bool:
    """Wait a moment for a full socket; a broken one has room for the news."""
    watch = select.poll()
    watch.register(socket, select.POLLOUT)
    return bool(watch.poll(_PATIENCE_MS))


def _close_after(job: Future[Any] | None, *descriptors: int) -> None:
    """Close when the thread is done with them, which may be after the request."""

    def close(_: object) -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    if job is None:
        close(None)
    else:
        job.add_done_callback(close)
