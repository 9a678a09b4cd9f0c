"""Blobs as files: grown in a spool, synced, moved into place."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from entrepot.errors import StoreFailed
from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.storage.failures import translate, translated
from entrepot.storage.journal import boot_id
from entrepot.storage.layout import (
    BLOBS,
    SPOOL,
    blob_path,
    digest_of_blob,
    digest_of_spool,
    journal_path,
    spool_path,
)
from entrepot.storage.spool import FileSpool
from entrepot.storage.system import System, make_folder, remove_file

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

    def __init__(self, root: Path, *, system: System = os, boot: str | None = None) -> None:
        """Make the folders, and drop what no spool can be resumed from; raises ``StoreFailed``.

        ``boot`` names the boot of the machine; left out, the kernel is asked.
        """
        self._root = root
        self._system = system
        self._prefix = f"{root}/"
        self._boot = boot or boot_id()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="storage")
        with translated(root):
            for folder in (BLOBS, SPOOL):
                make_folder(system, root / folder)
            _drop_remains(system, root)

    def open(self, digest: Digest) -> FileBlob | None:
        path = self._prefix + blob_path(digest)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as failure:
            raise translate(failure, path) from failure
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            raise StoreFailed(f"{path} is no file: move it away")
        return FileBlob(fd, status.st_size)

    async def spool(self, digest: Digest) -> FileSpool:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._spool, digest)

    async def delete(self, digest: Digest) -> bool:
        path = self._root / blob_path(digest)
        with translated(path):
            try:
                await asyncio.to_thread(self._system.unlink, path)
            except FileNotFoundError:
                return False
        return True

    async def is_right(self, digest: Digest) -> bool:
        path = self._root / blob_path(digest)
        return await asyncio.get_running_loop().run_in_executor(self._threads, _is_right, path, digest)

    async def blobs(self) -> AsyncIterator[tuple[Digest, int]]:
        with translated(self._root):
            folders = await asyncio.to_thread(_folders, self._root / BLOBS)
        for folder in folders:
            with translated(folder):
                found = await asyncio.to_thread(_blobs_in, folder)
            for blob in found:
                yield blob

    def room(self) -> int:
        """Leave some of the disk to the database and to others: 64 MiB, or a twentieth of a small one."""
        with translated(self._root):
            disk = os.statvfs(self._root)
        reserve = min(_RESERVE, disk.f_blocks * disk.f_frsize // _RESERVED_SHARE)
        return max(0, disk.f_bavail * disk.f_frsize - reserve)

    def close(self) -> None:
        self._threads.shutdown()

    def _spool(self, digest: Digest) -> FileSpool:
        return FileSpool(self._root, digest, self._boot, self._threads, self._system)


def _is_right(path: Path, digest: Digest) -> bool:
    with translated(path):
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, digest.algorithm).hexdigest() == digest.hex
        except FileNotFoundError:
            return False


def _drop_remains(system: System, root: Path) -> None:
    """Drop the spools that a crash left behind: one lost its part or its journal, one is a blob already."""
    for entry in list((root / SPOOL).iterdir()):
        with suppress(InvalidDigest):
            digest = digest_of_spool(entry.name)
            part, journal, blob = (root / path(digest) for path in (spool_path, journal_path, blob_path))
            if entry.name not in {part.name, journal.name}:
                system.unlink(entry)
            elif blob.exists() or not (part.exists() and journal.exists()):
                remove_file(system, journal)
                remove_file(system, part)


def _folders(root: Path) -> list[Path]:
    return sorted(root.glob("*/*"))


def _blobs_in(folder: Path) -> list[tuple[Digest, int]]:
    found = []
    for entry in os.scandir(folder):
        with suppress(InvalidDigest, FileNotFoundError):
            digest = digest_of_blob(folder.parent.name, entry.name)
            if entry.is_file(follow_symlinks=False):
                found.append((digest, entry.stat().st_size))
    return found
