"""A small file beside the blobs that tells how far a long work has got."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from entrepot.storage.failures import translated
from entrepot.storage.system import System, write_all

__all__ = ["FileBookmark"]


class FileBookmark:
    """Implements ``ports.blobs.Bookmark``."""

    def __init__(self, path: Path, system: System = os) -> None:
        self._path = path
        self._system = system

    def read(self) -> bytes:
        with translated(self._path):
            return self._path.read_bytes() if self._path.exists() else b""

    async def write(self, content: bytes) -> None:
        await asyncio.to_thread(self._write, content)

    def _write(self, content: bytes) -> None:
        new = self._path.with_name(f"{self._path.name}.new")
        with translated(self._path):
            fd = self._system.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                write_all(self._system, fd, content)
            finally:
                os.close(fd)
            self._system.replace(new, self._path)
