"""Failures of SQLite and SQLAlchemy, said in the words of ``errors``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from entrepot.errors import MetadataFailed

__all__ = ["FOREIGN_FAILURES", "MetadataDamaged", "MetadataLocked", "translate", "translated"]

# The last two are values that the driver cannot bind: integers beyond 64 bits, lone surrogates.
FOREIGN_FAILURES = (sqlite3.Error, SQLAlchemyError, OverflowError, UnicodeError)

# The second: no room to grow the shared memory beside the write-ahead log.
_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_PRIMARY_CODE = 0xFF  # https://www.sqlite.org/rescode.html: an extended code ends in its primary one


class MetadataDamaged(MetadataFailed):
    """The file is no sound database."""


class MetadataLocked(MetadataFailed):
    """Another process has the file locked, for longer than SQLite waits."""


def translate(failure: Exception, path: Path) -> MetadataFailed:
    """Make the failure to raise in place of one of ``FOREIGN_FAILURES``."""
    cause = failure.orig if isinstance(failure, DBAPIError) else failure
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK)
    if code in _FULL:
        return MetadataFailed(f"no room to write {path}: free some space on its disk")
    if code & _PRIMARY_CODE in _DAMAGED:
        return MetadataDamaged(
            f"{path} is damaged: restart to begin a new one; content is then fetched again"
        )
    if code & _PRIMARY_CODE in _LOCKED:
        return MetadataLocked(
            f"{path} is locked by another process, a backup or somebody with sqlite3:"
            f" `fuser {path}` tells which; end it, or wait for it"
        )
    return MetadataFailed(f"{path}: {cause}")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    try:
        yield
    except FOREIGN_FAILURES as failure:
        raise translate(failure, path) from failure
