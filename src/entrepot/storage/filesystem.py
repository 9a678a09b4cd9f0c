"""Blobs as files: grown in a spool, synced, moved into place."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from entrepot.errors import StoreFailed
from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.ports.blobs import Pace, at_full_speed
from entrepot.storage.failures import translate, translated
from entrepot.storage.journal import boot_id
from entrepot.storage.layout import BLOBS, SPOOL, blob_path, digest_of_blob
from entrepot.storage.open_files import OpenFile, OpenFiles
from entrepot.storage.remains import Remains
from entrepot.storage.rereading import feed_from
from entrepot.storage.seal import is_sealed, put_seal, seal_of
from entrepot.storage.spool import FileSpool
from entrepot.storage.system import System, make_folder, sync_folder

__all__ = ["FilesystemBlobs"]

_THREADS = 8

T = TypeVar("T")


class FilesystemBlobs:
    """Implements ``ports.blobs.BlobStore`` and ``Sweeping`` on one local file system."""

    def __init__(self, root: Path, *, system: System = os, boot: str | None = None) -> None:
        """Make the folders; raises ``StoreFailed``.

        ``boot`` names the boot of the machine; left out, the kernel is asked.
        """
        self._root = root
        self._system = system
        self._prefix = f"{root}/"
        self._boot = boot or boot_id()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="storage")
        self._remains = Remains(root, system)
        # Whose files are no remains, as long as somebody holds them.
        self._spools = WeakValueDictionary[Digest, FileSpool]()
        self._opening = threading.Lock()
        self._open_files = OpenFiles()
        self._keeps_seals = True
        with translated(root):
            for folder in (BLOBS, SPOOL):
                make_folder(system, root / folder)
        _sync_folders(system, root)

    def open(self, digest: Digest) -> OpenFile | None:
        file = self._open_files.find(digest)
        if file is None and (file := self._open(digest)) is not None:
            self._open_files.keep(digest, file)
        return file

    def _open(self, digest: Digest) -> OpenFile | None:
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
        return OpenFile(fd, status.st_size, seal_of(digest) if self._keeps_seals else None)

    async def spool(self, digest: Digest) -> FileSpool:
        return await self._run(self._spool, digest)

    async def delete(self, digest: Digest) -> bool:
        path = self._root / blob_path(digest)
        with translated(path):
            try:
                await asyncio.to_thread(self._system.unlink, path)
            except FileNotFoundError:
                return False
            finally:
                self._open_files.drop(digest)
        return True

    async def is_right(self, digest: Digest, pace: Pace = at_full_speed) -> bool | None:
        path = self._root / blob_path(digest)
        hasher, offset = digest.hasher(), 0
        with translated(path):
            try:
                changed_at = path.stat().st_mtime_ns
                while step := await self._run(feed_from, path, hasher, offset):
                    offset += step
                    await pace(step)
            except FileNotFoundError:
                return None
        if step is None or hasher.hexdigest() != digest.hex:
            return False
        await self._run(self._seal, path, digest, changed_at)
        self._open_files.drop(digest)  # It may be another file than the one that was read.
        return True

    async def missing(self, digests: Sequence[Digest]) -> list[Digest]:
        return await self._run(self._missing, digests)

    async def blobs(self, after: Digest | None = None) -> AsyncIterator[tuple[Digest, int]]:
        with translated(self._root):
            folders = await asyncio.to_thread(_folders, self._root / BLOBS, after)
        for folder in folders:
            with translated(folder):
                found = await asyncio.to_thread(_blobs_in, folder, after)
            for blob in found:
                yield blob

    async def sweep(self, now: float) -> AsyncIterator[int]:
        failed = None
        with translated(self._root):
            spools = await self._run(self._remains.spools)
            folders = await self._run(self._remains.folders)
        drops = [partial(self._drop_spool, digest) for digest in spools]
        drops += [partial(self._remains.drop_strays, folder, now) for folder in folders]
        for drop in drops:
            try:
                count = await self._run(drop)
            except OSError as failure:
                failed = failed or failure
            else:
                yield count
        if failed is not None:
            raise translate(failed, failed.filename or self._root) from failed

    def close(self) -> None:
        self._open_files.clear()
        self._threads.shutdown()

    async def _run(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _seal(self, path: Path, digest: Digest, changed_at: int) -> None:
        """Seal what was found right, if nobody wrote to it meanwhile.

        A disk that does not keep the seal gets none from now on: else all would be read again and again.
        """
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        seal = seal_of(digest)
        try:
            if os.fstat(fd).st_mtime_ns == changed_at and not is_sealed(fd, seal):
                put_seal(self._system, fd, seal)
                self._keeps_seals = self._keeps_seals and is_sealed(fd, seal)
        except OSError:
            self._keeps_seals = False
        finally:
            os.close(fd)

    def _missing(self, digests: Sequence[Digest]) -> list[Digest]:
        missing = []
        for digest in digests:
            if (file := self._open(digest)) is None:
                missing.append(digest)
            else:
                file.close()
        return missing

    def _spool(self, digest: Digest) -> FileSpool:
        with self._opening:  # Half made, it looks like what a crash left.
            spool = FileSpool(self._root, digest, self._boot, self._threads, self._system)
            self._spools[digest] = spool
        return spool

    def _drop_spool(self, digest: Digest) -> int:
        with self._opening:
            spool = self._spools.get(digest)
            is_held = spool is not None and not spool.is_closed
            return 0 if is_held else self._remains.drop_spool(digest)


def _sync_folders(system: System, root: Path) -> None:
    """Have those folders outlive a power cut that an earlier process made and had no time to sync."""
    with suppress(OSError):  # A disk that can only be read, or is failing, is no reason not to start.
        for folder in (root, root / BLOBS, *(root / BLOBS).glob("*/")):
            sync_folder(system, folder)


def _folders(root: Path, after: Digest | None) -> list[Path]:
    """List the folders of blobs, in the order of their names, from that of ``after`` on."""
    first = root / blob_path(after).removeprefix(f"{BLOBS}/") if after is not None else root
    return sorted(folder for folder in root.glob("*/*/") if folder >= first.parent)


def _blobs_in(folder: Path, after: Digest | None) -> list[tuple[Digest, int]]:
    with os.scandir(folder) as entries:
        found = [blob for entry in entries if (blob := _blob(folder, entry)) is not None]
    return sorted((blob for blob in found if after is None or str(blob[0]) > str(after)), key=_name)


def _blob(folder: Path, entry: os.DirEntry[str]) -> tuple[Digest, int] | None:
    with suppress(InvalidDigest, FileNotFoundError):
        digest = digest_of_blob(folder.parent.name, entry.name)
        if digest.hex.startswith(folder.name) and entry.is_file(follow_symlinks=False):
            return digest, entry.stat().st_size
    return None


def _name(blob: tuple[Digest, int]) -> str:
    return blob[0].hex
