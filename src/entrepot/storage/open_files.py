"""Blobs that were opened a moment ago, kept open for whoever asks next: a fleet asks for the same ones."""

from __future__ import annotations

import asyncio
import os
from typing import Self

from entrepot.oci.digest import Digest
from entrepot.storage.seal import is_sealed

__all__ = ["OpenFile", "OpenFiles"]

_SECONDS = 1.0
_MOST = 500


class OpenFile:
    """Implements ``ports.blobs.OpenBlob``: one descriptor for all who opened it; the last one closes it.

    ``seal`` is ``None`` where the disk keeps none.
    """

    __slots__ = ("_fd", "_holders", "_seal", "size")

    def __init__(self, fd: int, size: int, seal: int | None = None) -> None:
        self._fd = fd
        self._holders = 1
        self._seal = seal
        self.size = size

    @property
    def is_untouched(self) -> bool:
        return self._seal is None or is_sealed(self._fd, self._seal)

    def fileno(self) -> int:
        return self._fd

    def share(self) -> Self:
        """Give it to one more, who closes it too."""
        self._holders += 1
        return self

    def close(self) -> None:
        self._holders -= 1
        if not self._holders:
            os.close(self._fd)


class OpenFiles:
    """Bounded by letting go of all at once, at the latest after a second.

    So a blob that somebody else removed or replaced is not served for longer than that, nor does
    it hold its room on the disk.
    """

    def __init__(self) -> None:
        self._files: dict[Digest, OpenFile] = {}
        self._end: asyncio.TimerHandle | None = None

    def find(self, digest: Digest) -> OpenFile | None:
        file = self._files.get(digest)
        return None if file is None else file.share()

    def keep(self, digest: Digest, file: OpenFile) -> None:
        if len(self._files) >= _MOST:
            self.clear()
        if self._end is None:
            self._end = asyncio.get_running_loop().call_later(_SECONDS, self.clear)
        self._files[digest] = file.share()

    def drop(self, digest: Digest) -> None:
        file = self._files.pop(digest, None)
        if file is not None:
            file.close()

    def clear(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
        while self._files:
            self._files.popitem()[1].close()
