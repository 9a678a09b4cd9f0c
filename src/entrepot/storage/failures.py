"""Turns the operating system's failures into the program's own."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from entrepot.errors import DiskFull, StoreFailed

__all__ = ["translate", "translated"]

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def translate(failure: OSError, path: Path | str) -> StoreFailed:
    """Make the failure to raise in place of the operating system's."""
    if failure.errno in _NO_ROOM:
        return DiskFull(f"no room for {path}: {failure.strerror}")
    return StoreFailed(f"cannot use {path}: {failure.strerror}")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        raise translate(failure, path) from failure
