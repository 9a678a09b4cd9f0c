"""Reads stored content again, for its hash alone, and leaves the page cache to those who are served."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["feed_from"]

_STEP = 4 << 20


def feed_from(path: Path, hasher: Any, offset: int) -> int | None:
    """Feed the hasher some megabytes of a file; return how many bytes, 0 at the end.

    ``None`` stands for bytes that the disk cannot give back any more: as wrong as wrong ones.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # No reading ahead: what it brought would look like what others had read.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        buffer = memoryview(bytearray(_STEP))
        count = _read(fd, buffer, offset)
        hasher.update(buffer[:count])
    except OSError as failure:
        if failure.errno == errno.EIO:
            return None
        raise
    finally:
        os.close(fd)
    return count


def _read(fd: int, buffer: memoryview, offset: int) -> int:
    """Read what is in memory already; read the rest from the disk, and have the kernel forget that again."""
    known = 0
    with suppress(OSError):  # Of which the usual one tells that nothing is in memory.
        known = os.preadv(fd, [buffer], offset, os.RWF_NOWAIT)
    more = os.preadv(fd, [buffer[known:]], offset + known) if known < len(buffer) else 0
    if more:
        os.posix_fadvise(fd, offset + known, more, os.POSIX_FADV_DONTNEED)
    return known + more
