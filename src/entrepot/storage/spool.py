"""A blob on its way in: a sparse file, and a journal of what of it is written."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from entrepot.errors import DiskFull, StoreFailed
from entrepot.storage.journal import Journal

__all__ = ["FileSpool"]

_STEP = 4 << 20
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class FileSpool:
    """Implements ``ports.blobs.Spool``; blocking work runs in ``threads``."""

    def __init__(
        self, part: Path, journal: Path, target: Path, boot: str, threads: ThreadPoolExecutor
    ) -> None:
        """Open or create the files; blocks, so call it from a thread."""
        self._part = part
        self._target = target
        self._threads = threads
        with _translated(part):
            self._journal = Journal(journal, boot)
            self._fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            end = os.fstat(self._fd).st_size
        self._present = [(start, stop) for start, stop in self._journal.intervals if start < stop <= end]
        self._empty = not self._present
        self._resumable = True

    @property
    def present(self) -> Sequence[tuple[int, int]]:
        return self._present

    def fileno(self) -> int:
        return self._fd

    async def write(self, offset: int, chunk: bytes) -> None:
        await self._run(self._write, offset, chunk)

    async def feed(self, hasher: Any, start: int, stop: int) -> None:
        await self._run(self._feed, hasher, start, stop)

    async def commit(self, size: int) -> None:
        await self._run(self._commit, size)

    async def discard(self) -> None:
        await self._run(self._remove)

    async def close(self) -> None:
        await self._run(self._close)

    async def _run(self, work: Any, *arguments: Any) -> None:
        """Run blocking work to its end even if the caller is cancelled: descriptors must outlive it."""
        job = asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        try:
            await asyncio.shield(job)
        except asyncio.CancelledError:
            await asyncio.wait([job])
            raise

    def _write(self, offset: int, chunk: bytes) -> None:
        self._empty = False
        with _translated(self._part):
            view, position = memoryview(chunk), offset
            while view:
                written = os.pwrite(self._fd, view, position)
                view, position = view[written:], position + written
            self._journal.add(offset, offset + len(chunk))

    def _feed(self, hasher: Any, start: int, stop: int) -> None:
        buffer = memoryview(bytearray(min(_STEP, stop - start)))
        while start < stop:
            with _translated(self._part):
                count = os.preadv(self._fd, [buffer[: stop - start]], start)
            if count == 0:
                raise StoreFailed(f"{self._part} is shorter than its journal says")
            hasher.update(buffer[:count])
            start += count

    def _commit(self, size: int) -> None:
        """Sync data, then the name, then the folder: a blob that can be opened is whole after any crash."""
        with _translated(self._part):
            os.ftruncate(self._fd, size)
            os.fsync(self._fd)
            _make_folder(self._target.parent)
            os.replace(self._part, self._target)
            _sync_folder(self._target.parent)
            self._forget()

    def _remove(self) -> None:
        with _translated(self._part):
            self._part.unlink(missing_ok=True)
            self._forget()

    def _forget(self) -> None:
        self._journal.remove()
        self._resumable = False

    def _close(self) -> None:
        try:
            if self._resumable and self._empty:
                self._remove()
            elif self._resumable:
                with _translated(self._part):
                    os.fdatasync(self._fd)
                    self._journal.synced()
        finally:
            self._journal.close()
            os.close(self._fd)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn the operating system's failures into the program's own."""
    try:
        yield
    except OSError as failure:
        if failure.errno in _NO_ROOM:
            raise DiskFull(f"no room for {path}: {failure.strerror}") from failure
        raise StoreFailed(f"cannot use {path}: {failure.strerror}") from failure


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
