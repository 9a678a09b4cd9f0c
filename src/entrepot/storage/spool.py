"""A blob on its way in: a sparse file, and a journal of what of it is written."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

from entrepot.errors import StoreFailed
from entrepot.oci.digest import Digest
from entrepot.ports.upstream import Inflow
from entrepot.storage.failures import translated
from entrepot.storage.journal import Journal
from entrepot.storage.layout import blob_path, journal_path, spool_path
from entrepot.storage.seal import put_seal, seal_of
from entrepot.storage.system import System, make_folder, remove_file, sync_folder, write_all

__all__ = ["FileSpool"]

_BLOCK = 1 << 20

T = TypeVar("T")

_of_thread = threading.local()


def _buffer() -> memoryview:
    """Return the block of memory that this thread receives into."""
    if not hasattr(_of_thread, "buffer"):
        _of_thread.buffer = memoryview(bytearray(_BLOCK))
    buffer: memoryview = _of_thread.buffer
    return buffer


def _skip(inflow: Inflow, most: int) -> int:
    return inflow.read_into(_buffer()[:most])


class FileSpool:
    """Implements ``ports.blobs.Spool``; blocking work runs in ``threads``.

    Committed or discarded, it never touches the files of its names again: they are a successor's.
    """

    def __init__(
        self, root: Path, digest: Digest, boot: str, threads: ThreadPoolExecutor, system: System
    ) -> None:
        """Open or create the files; blocks, so call it from a thread."""
        self._part = root / spool_path(digest)
        self._target = root / blob_path(digest)
        self._seal = seal_of(digest)
        self._threads = threads
        self._system = system
        with translated(self._part), ExitStack() as undo:
            make_folder(system, self._part.parent)  # Somebody may have cleaned up too well.
            self._fd = system.open(self._part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            undo.callback(os.close, self._fd)
            end = os.fstat(self._fd).st_size
            if end == 0:
                undo.callback(remove_file, system, self._part)
            self._journal = Journal(root / journal_path(digest), boot, end, system)
            undo.pop_all()
        self._present = self._journal.intervals
        self._empty = not self._present
        self._resumable = True
        self.is_closed = False

    @property
    def present(self) -> Sequence[tuple[int, int]]:
        return self._present

    def fileno(self) -> int:
        return self._fd

    async def write(self, offset: int, chunk: bytes) -> None:
        await self._run(self._write, offset, chunk)

    async def receive(self, offset: int, inflow: Inflow, most: int) -> int:
        return await self._run(self._receive, offset, inflow, most)

    async def skip(self, inflow: Inflow, most: int) -> int:
        return await self._run(_skip, inflow, most)

    async def feed(self, hasher: Any, start: int, stop: int) -> None:
        await self._run(self._feed, hasher, start, stop)

    async def commit(self, size: int) -> None:
        await self._run(self._commit, size)

    async def discard(self) -> None:
        await self._run(self._remove)

    async def close(self) -> None:
        await self._run(self._close)

    async def _run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run blocking work to its end however often its caller is cancelled: descriptors must outlive it."""
        job = asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        cancelled: asyncio.CancelledError | None = None
        while not job.done():
            try:
                await asyncio.wait([job])
            except asyncio.CancelledError as request:
                cancelled = request
        if cancelled is not None:
            job.exception()  # Its caller has left: a failure is then nobody's news.
            raise cancelled
        return job.result()

    def _write(self, offset: int, chunk: bytes) -> None:
        self._empty = False
        with translated(self._part):
            write_all(self._system, self._fd, chunk, offset)
            self._journal.add(offset, offset + len(chunk))

    def _receive(self, offset: int, inflow: Inflow, most: int) -> int:
        """Write all that comes within moments, and journal it in one go."""
        self._empty = False
        buffer, end = _buffer(), offset
        with translated(self._part):
            try:
                while count := inflow.read_into(buffer[: offset + most - end]):
                    write_all(self._system, self._fd, buffer[:count], end)
                    end += count
            finally:
                if end > offset:
                    self._journal.add(offset, end)
        return end - offset

    def _feed(self, hasher: Any, start: int, stop: int) -> None:
        buffer = _buffer()
        while start < stop:
            with translated(self._part):
                count = os.preadv(self._fd, [buffer[: stop - start]], start)
            if count == 0:
                raise StoreFailed(f"{self._part} is shorter than its journal says")
            hasher.update(buffer[:count])
            start += count

    def _commit(self, size: int) -> None:
        """Sync data, then the name, then the folder: a blob that can be opened is whole after any crash.

        The journal goes last: without its part nothing of it is believed.  What cannot become a
        blob is given up at once, not when the last reader has left.
        """
        if not self._resumable:
            raise StoreFailed(f"{self._part} was given up before it was whole")
        with translated(self._part):
            try:
                self._system.ftruncate(self._fd, size)
                with suppress(OSError):  # Without a seal it is read once more, when it is first used.
                    put_seal(self._system, self._fd, self._seal)
                self._system.fsync(self._fd)
                make_folder(self._system, self._target.parent)
                self._system.replace(self._part, self._target)
            except OSError:
                self._remove()
                raise
            self._resumable = False
            try:
                sync_folder(self._system, self._target.parent)
            finally:
                self._journal.remove()

    def _remove(self) -> None:
        """Remove the journal first: a part without one is believed to hold nothing."""
        if not self._resumable:
            return
        self._resumable = False
        with translated(self._part):
            self._journal.remove()
            remove_file(self._system, self._part)

    def _close(self) -> None:
        try:
            if self._empty:
                self._remove()
            elif self._resumable:
                with translated(self._part):
                    self._system.fdatasync(self._fd)
                    self._journal.synced()
        finally:
            self._journal.close()
            os.close(self._fd)
            self.is_closed = True
