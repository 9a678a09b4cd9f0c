"""What holds whenever the store has started and its background work has run once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from tests.store.machine import Life

from entrepot.oci.digest import Digest
from entrepot.storage.layout import blob_path, journal_path, spool_path

__all__ = ["check"]

_SECTOR = 512
_BLOCK = 4096
_MAP = 4096
"""Where the pieces of a file are is told in its inode, or in a block more if it was written in many."""
_SLACK = 1.05
_LOOKS = 20
_PAUSE = 0.05
_BESIDE = {"entrepot.db", "entrepot.db-wal", "entrepot.db-shm", "entrepot.ballast"}


async def check(life: Life, folder: Path, kept: AbstractSet[Digest]) -> None:
    """Files and rows agree, all files have a meaning, all bytes are right, and nothing ``kept`` is lost."""
    held = await life.held()
    await _check_account(life, folder, held)
    assert kept <= held.keys(), "what was kept is lost"
    assert held.keys() == set(life.metadata.stored_after(None, 1000)), "rows and files differ"
    for digest in held:
        assert await life.store.is_right(digest), "wrong bytes are kept"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files - _BESIDE == {blob_path(digest) for digest in held} | _spools(files), "there are orphans"


async def _check_account(life: Life, folder: Path, held: Mapping[Digest, int]) -> None:
    """What is counted is what the disk says, and within the bounds, or nothing is left that could go."""
    blobs = {folder / blob_path(digest): _whole_blocks(size) for digest, size in held.items()}
    looks = 1
    while unaccounted := await _unaccounted(life, folder, blobs):
        assert looks < _LOOKS, f"the disk says otherwise, again and again: {unaccounted} bytes"
        looks += 1
        await asyncio.sleep(_PAUSE)  # A file system may still change its mind about what it has synced.
    assert all(0 <= _on_disk(path) - size <= _MAP for path, size in blobs.items()), "blobs take more"
    max_size, held_bytes = life.bounds(0).max_size, life.ledger.usage(free=0).held
    assert max_size is None or held_bytes <= _SLACK * max_size or not life.ledger.evictable


async def _unaccounted(life: Life, folder: Path, blobs: Mapping[Path, int]) -> int:
    """Return how many bytes the disk has that a survey does not find."""
    _sync(folder)
    await life.ledger.survey()
    others = [path for path in (folder, *folder.rglob("*")) if path not in blobs]
    return sum(blobs.values()) + sum(map(_on_disk, others)) - life.ledger.usage(free=0).written


def _sync(folder: Path) -> None:
    """Have a real disk take all there is: what it tells of a file is not steady while that is under way."""
    for path in folder.rglob("*"):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


def _on_disk(path: Path) -> int:
    return path.lstat().st_blocks * _SECTOR


def _whole_blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _spools(files: set[str]) -> set[str]:
    """Name the files of spools, whose parts and journals have to come in pairs."""
    digests = {Digest.parse(Path(name).stem.replace("-", ":")) for name in files if name.startswith("spool/")}
    return {path(digest) for digest in digests for path in (spool_path, journal_path)}
