"""What the data folder takes of its file system, blobs apart."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.ports.disk import IdleSpool, Space, Survey
from entrepot.storage.failures import translated
from entrepot.storage.layout import BLOBS, SPOOL, digest_of_spool, journal_path, spool_path
from entrepot.storage.system import System, remove_file

__all__ = ["FilesystemDisk"]

_BLOCK = 512  # of st_blocks, whatever the file system's own blocks are: stat(3type)


class FilesystemDisk:
    """Implements ``ports.disk.Disk`` for the folder that ``FilesystemBlobs`` keeps its files in."""

    def __init__(self, root: Path, *, system: System = os) -> None:
        self._root = root
        self._system = system

    def space(self) -> Space:
        with translated(self._root):
            disk = os.statvfs(self._root)
        return Space(disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize)

    async def survey(self) -> Survey:
        with translated(self._root):
            return await asyncio.to_thread(_survey, self._root)

    async def drop_spool(self, digest: Digest) -> None:
        with translated(self._root):
            await asyncio.to_thread(self._drop, digest)

    def _drop(self, digest: Digest) -> None:
        """Remove the journal first: a part without one is believed to hold nothing."""
        for path in (journal_path(digest), spool_path(digest)):
            remove_file(self._system, self._root / path)


def _survey(root: Path) -> Survey:
    blobs, spool = root / BLOBS, root / SPOOL
    beside = _size(root) + _size(spool) + sum(map(_size, [blobs, *blobs.glob("*"), *blobs.glob("*/*")]))
    for path in root.iterdir():
        if path not in (blobs, spool):
            beside += _size(path) + sum(map(_size, path.rglob("*")))
    return Survey(_spools(spool), beside)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_blocks * _BLOCK
    except FileNotFoundError:
        return 0


def _spools(folder: Path) -> list[IdleSpool]:
    found: dict[Digest, IdleSpool] = {}
    for entry in os.scandir(folder):
        with suppress(InvalidDigest, FileNotFoundError):
            digest, status = digest_of_spool(entry.name), entry.stat()
            known = found.get(digest, IdleSpool(digest, 0, 0.0))
            size = known.size + status.st_blocks * _BLOCK
            found[digest] = IdleSpool(digest, size, max(known.written_at, status.st_mtime))
    return list(found.values())
