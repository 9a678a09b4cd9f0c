"""A data folder seen from outside: what it takes of the disk, and what in it has no meaning."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Sizes", "orphans", "sizes"]

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes on the disk, of all and of what is being filled or was left to be resumed."""

    total: int
    spool: int


def sizes(folder: Path) -> Sizes:
    """Measure it while it changes: a file that goes meanwhile is none, and none is two."""
    taken = {path: _taken(path) for path in _paths(folder)}
    spool = f"{folder}/spool/"
    return Sizes(sum(taken.values()), sum(size for path, size in taken.items() if path.startswith(spool)))


def orphans(folder: Path) -> list[str]:
    """Name what is on one side only, of a store that nobody runs: files, rows, halves of spools."""
    files = {f"{path.parent.parent.name}:{path.name}" for path in (folder / "blobs").glob("*/*/*")}
    with closing(sqlite3.connect(f"file:{folder / 'entrepot.db'}?mode=ro", uri=True)) as database:
        rows = {digest for (digest,) in database.execute("SELECT digest FROM blobs")}
    halves = {path.stem for path in (folder / "spool").iterdir()}
    return [
        *(f"file without a row: {name}" for name in files - rows),
        *(f"row without a file: {name}" for name in rows - files),
        *(
            f"half a spool: {name}"
            for name in halves
            if not all((folder / "spool" / f"{name}.{end}").exists() for end in ("part", "journal"))
        ),
    ]


def _paths(folder: Path) -> list[str]:
    return [f"{place}/{name}" for place, folders, files in os.walk(folder) for name in (*folders, *files)]


def _taken(path: str) -> int:
    try:
        return os.lstat(path).st_blocks * _BLOCK
    except FileNotFoundError:
        return 0
