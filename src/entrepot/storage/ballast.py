"""Some room kept for the day when the disk is full, so that the cache can start and serve what it has."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["Ballast"]

_SIZE = 1 << 20


class Ballast:
    """A file of 1 MiB, which is made when there is room and thrown off when there is none."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "entrepot.ballast"

    def take(self) -> None:
        """Make the file, if it is not there and there is room."""
        with suppress(OSError), self._path.open("xb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, _SIZE)
            except OSError:
                self._path.unlink()

    def throw_off(self) -> bool:
        """Remove the file; tell whether there was one."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
