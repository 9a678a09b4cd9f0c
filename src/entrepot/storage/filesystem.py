"""Blobs as files: grown in a spool, synced, moved into place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.storage.journal import boot_id
from entrepot.storage.layout import BLOBS, SPOOL, blob_path, digest_of_blob, journal_path, spool_path
from entrepot.storage.spool import FileSpool

__all__ = ["FileBlob", "FilesystemBlobs"]

_THREADS = 8
_RESERVE = 64 << 20
_RESERVED_SHARE = 20


class FileBlob:
    """Implements ``ports.blobs.OpenBlob``."""

    __slots__ = ("_fd", "size")

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self.size = size

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)


class FilesystemBlobs:
    """Implements ``ports.blobs.BlobStore`` on one local file system."""

    def __init__(self, root: Path) -> None:
        """Make the folders; raises ``OSError`` where that cannot be."""
        self._root = root
        self._prefix = f"{root}/"
        self._boot = boot_id()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="storage")
        for folder in (BLOBS, SPOOL):
            (root / folder).mkdir(parents=True, exist_ok=True)

    def open(self, digest: Digest) -> FileBlob | None:
        try:
            fd = os.open(self._prefix + blob_path(digest), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        return FileBlob(fd, os.fstat(fd).st_size)

    async def spool(self, digest: Digest) -> FileSpool:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._spool, digest)

    async def delete(self, digest: Digest) -> bool:
        try:
            await asyncio.to_thread((self._root / blob_path(digest)).unlink)
        except FileNotFoundError:
            return False
        return True

    async def blobs(self) -> AsyncIterator[tuple[Digest, int]]:
        for folder in await asyncio.to_thread(_folders, self._root / BLOBS):
            for found in await asyncio.to_thread(_blobs_in, folder):
                yield found

    def room(self) -> int:
        """Leave some of the disk to the database and to others: 64 MiB, or a twentieth of a small one."""
        disk = os.statvfs(self._root)
        reserve = min(_RESERVE, disk.f_blocks * disk.f_frsize // _RESERVED_SHARE)
        return max(0, disk.f_bavail * disk.f_frsize - reserve)

    def close(self) -> None:
        self._threads.shutdown()

    def _spool(self, digest: Digest) -> FileSpool:
        part, journal, target = (self._root / path(digest) for path in (spool_path, journal_path, blob_path))
        return FileSpool(part, journal, target, self._boot, self._threads)


def _folders(root: Path) -> list[Path]:
    return sorted(root.glob("*/*"))


def _blobs_in(folder: Path) -> list[tuple[Digest, int]]:
    found = []
    for entry in os.scandir(folder):
        with suppress(InvalidDigest, FileNotFoundError):
            found.append((digest_of_blob(folder.parent.name, entry.name), entry.stat().st_size))
    return found
