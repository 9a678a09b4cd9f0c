"""Writes audit files: the newest until it is large or old enough, and the oldest make room."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from entrepot.audit.folder import audit_files, begun_at, next_file
from entrepot.telemetry.lines import write_whole
from entrepot.telemetry.log import log

__all__ = ["AuditFiles", "Keeping"]

_MODE = 0o640


class Keeping(Struct, frozen=True):
    """When a file makes way for the next one, and how much of all of them is kept; sizes in bytes."""

    file_size: int
    file_seconds: float
    size: int
    seconds: float
    files: int


class AuditFiles:
    """Goes on with the newest file there is, and makes what was taken away."""

    def __init__(self, folder: Path, keeping: Keeping, now: Callable[[], float]) -> None:
        self._folder = folder
        self._keeping = keeping
        self._now = now
        self._path: Path | None = None
        self._descriptor = -1
        self._is_failing = False
        self._using = threading.Lock()

    def append(self, lines: bytes) -> None:
        """Write whole lines, none to look what is due only; raise ``OSError`` if none was written.

        The log tells once that it failed, and once that it works again.
        """
        with self._using:
            self._append_telling(lines)

    def close(self) -> None:
        """Close the file, unless a thread is stuck in writing to it."""
        if self._using.acquire(blocking=False):
            self._let_go()
            self._using.release()

    def _append_telling(self, lines: bytes) -> None:
        try:
            self._append(lines)
        except OSError as failure:
            self._let_go()
            if not self._is_failing:
                log.error("audit_not_written", folder=str(self._folder), reason=failure.strerror)
            self._is_failing = True
            raise
        if self._is_failing:
            log.info("audit_written_again", folder=str(self._folder))
        self._is_failing = False

    def _append(self, lines: bytes) -> None:
        size = self._size_in_place()
        is_found = size is not None
        if size is None:
            size = self._go_on()
        if self._is_due(size, len(lines)):
            self._begin()
            size = 0
        if not (lines and is_found and size):
            self._make_room()
        try:
            write_whole(self._descriptor, lines)
        except OSError:
            with suppress(OSError):  # A line that was torn is none.
                os.ftruncate(self._descriptor, size)
            raise

    def _size_in_place(self) -> int | None:
        """Return the open file's size; ``None`` if there is none, or it is not what its name leads to now."""
        if self._path is None:
            return None
        own = os.fstat(self._descriptor)
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return None
        return own.st_size if os.path.samestat(own, named) else None

    def _go_on(self) -> int:
        """Open the newest file; return its size."""
        self._let_go()
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        files = audit_files(self._folder)
        if not files:
            self._begin()
            return 0
        self._open(files[-1], os.O_RDWR)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            write_whole(self._descriptor, b"\n")  # After a line that was torn by a sudden end.
            size += 1
        return size

    def _is_due(self, size: int, more: int) -> bool:
        """Tell whether it is time for the next file."""
        begun = None if self._path is None else begun_at(self._path.name)
        is_old = begun is not None and self._now() - begun.timestamp() >= self._keeping.file_seconds
        return size > 0 and (size + more > self._keeping.file_size or is_old)

    def _begin(self) -> None:
        path = next_file(self._folder, self._now(), self._path)
        self._let_go()
        self._open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def _let_go(self) -> None:
        if self._path is not None:
            os.close(self._descriptor)
        self._path = None

    def _open(self, path: Path, flags: int) -> None:
        self._descriptor = os.open(path, flags | os.O_APPEND | os.O_CLOEXEC, _MODE)
        self._path = path

    def _make_room(self) -> None:
        """Remove what is too old, too many or too large together, and leave room for the newest to grow."""
        keeping = self._keeping
        left, kept = keeping.size - keeping.file_size, 1
        for path in reversed(audit_files(self._folder)[:-1]):
            status = path.stat()
            left, kept = left - status.st_size, kept + 1
            if left < 0 or kept > keeping.files or self._now() - status.st_mtime > keeping.seconds:
                path.unlink()
