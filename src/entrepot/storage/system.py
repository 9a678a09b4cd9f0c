"""The system calls by which the store changes the disk: one seam, where tests break them or cut the power."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

__all__ = ["System", "make_folder", "remove_file", "sync_folder", "write_all"]

Content = bytes | memoryview


class System(Protocol):
    """Calls that do, and raise, what those of the same names in ``os`` do: that module is the real disk.

    Reading goes past it, as it changes nothing and is what has to be fast.
    """

    def open(self, path: Path, flags: int, mode: int = ..., /) -> int: ...

    def write(self, fd: int, content: Content, /) -> int: ...

    def pwrite(self, fd: int, content: Content, offset: int, /) -> int: ...

    def ftruncate(self, fd: int, size: int, /) -> None: ...

    def posix_fallocate(self, fd: int, offset: int, size: int, /) -> None: ...

    def utime(self, fd: int, /, *, ns: tuple[int, int]) -> None: ...

    def fsync(self, fd: int, /) -> None: ...

    def fdatasync(self, fd: int, /) -> None: ...

    def mkdir(self, path: Path, mode: int = ..., /) -> None: ...

    def replace(self, source: Path, target: Path, /) -> None: ...

    def unlink(self, path: Path, /) -> None: ...


def write_all(system: System, fd: int, content: Content, offset: int | None = None) -> None:
    """Write at ``offset``, or where the file is; the system may take less at a time than it is given."""
    rest = memoryview(content)
    while rest:
        if offset is None:
            written = system.write(fd, rest)
        else:
            written = system.pwrite(fd, rest, offset)
            offset += written
        rest = rest[written:]


def remove_file(system: System, path: Path) -> None:
    """Remove a file that may be gone already."""
    with suppress(FileNotFoundError):
        system.unlink(path)


def make_folder(system: System, folder: Path) -> None:
    """Make a folder, and those it lies in, so that a power cut takes none of them away."""
    if folder.is_dir():
        return
    make_folder(system, folder.parent)
    try:
        system.mkdir(folder)
    except FileExistsError:  # Made by another thread meanwhile, or a file is in the way.
        if not folder.is_dir():
            raise
    sync_folder(system, folder.parent)


def sync_folder(system: System, folder: Path) -> None:
    """Have what was created, renamed and removed in a folder outlive a power cut."""
    fd = system.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        system.fsync(fd)
    finally:
        os.close(fd)
