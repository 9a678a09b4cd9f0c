"""What crashes leave behind, and strangers: files in the store's folders that are of no use to it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.storage.journal import beside
from entrepot.storage.layout import (
    BLOBS,
    SPOOL,
    blob_path,
    digest_of_blob,
    digest_of_spool,
    journal_path,
    spool_path,
)
from entrepot.storage.system import System

__all__ = ["Remains"]

# Whoever puts files here by hand, rsync for one, gives them their names at the end.
_SECONDS_TO_GET_A_NAME = 3600


class Remains:
    """Finds them and drops them; every method blocks, for some milliseconds a folder."""

    def __init__(self, root: Path, system: System) -> None:
        self._root = root
        self._system = system

    def folders(self) -> list[Path]:
        """List the folders in which there may be strays."""
        blobs = self._root / BLOBS
        return [self._root / SPOOL, blobs, *sorted(blobs.glob("*/")), *sorted(blobs.glob("*/*/"))]

    def spools(self) -> set[Digest]:
        """Name the blobs of which spools have left files, whole ones or not."""
        return set(self._spooled())

    def drop_spool(self, digest: Digest) -> int:
        """Drop the files of a spool that nothing can be resumed from; tell how many.

        Its blob is there, its part or its journal is lost, or a new journal was never put in place.
        """
        part, journal, new = self._spool_files(digest)
        is_blob = (self._root / blob_path(digest)).exists()
        is_lost = is_blob or not (part.exists() and journal.exists())
        return self._drop((new, journal, part) if is_lost else (new,))

    def drop_strays(self, folder: Path, now: float) -> int:
        """Drop the files of a folder that no digest leads to; tell how many.

        One that was changed within the hour, by whichever clock, may yet get the name of a digest.
        """
        strays = [path for path in _files_in(folder) if not self._is_in_place(path)]
        return self._drop(path for path in strays if not _is_new(path, now))

    def _spooled(self) -> Iterator[Digest]:
        for path in _files_in(self._root / SPOOL):
            with suppress(InvalidDigest):
                yield digest_of_spool(path.name)

    def _spool_files(self, digest: Digest) -> tuple[Path, Path, Path]:
        part, journal = self._root / spool_path(digest), self._root / journal_path(digest)
        return part, journal, beside(journal)

    def _is_in_place(self, path: Path) -> bool:
        try:
            if path.parent == self._root / SPOOL:
                return path in self._spool_files(digest_of_spool(path.name))
            return path == self._root / blob_path(digest_of_blob(path.parent.parent.name, path.name))
        except InvalidDigest:
            return False

    def _drop(self, paths: Iterable[Path]) -> int:
        """Drop what can be dropped; tell how many, or raise in the end why some could not be."""
        count, failed = 0, None
        for path in paths:
            try:
                self._system.unlink(path)
                count += 1
            except FileNotFoundError:
                continue
            except OSError as failure:
                failed = failed or failure
        if failed is not None:
            raise failed
        return count


def _files_in(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(entry) for entry in entries if not entry.is_dir(follow_symlinks=False)]


def _is_new(path: Path, now: float) -> bool:
    try:
        return abs(now - path.lstat().st_mtime) < _SECONDS_TO_GET_A_NAME
    except FileNotFoundError:
        return True
