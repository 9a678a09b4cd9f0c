"""Some room kept for the day when the disk is full, so that the cache can start and serve what it has."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from entrepot.storage.system import System

__all__ = ["Ballast"]

_SIZE = 1 << 20


class Ballast:
    """A file of 1 MiB, which is made when there is room and thrown off when there is none."""

    def __init__(self, folder: Path, system: System = os) -> None:
        self._path = folder / "entrepot.ballast"
        self._system = system

    def take(self) -> None:
        """Make the file, if it is not there and there is room."""
        with suppress(OSError):
            fd = self._system.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                self._system.posix_fallocate(fd, 0, _SIZE)
            except OSError:
                self._system.unlink(self._path)
            finally:
                os.close(fd)

    def throw_off(self) -> bool:
        """Remove the file; tell whether there was one."""
        try:
            self._system.unlink(self._path)
        except OSError:
            return False
        return True
