"""The disk that content lies on: what it has room for, and what on it is no blob."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from entrepot.oci.digest import Digest

__all__ = ["Disk", "IdleSpool", "Space", "Survey"]


class Space(Struct, frozen=True, gc=False):
    """Bytes of the file system: in all, and free for this program to write."""

    total: int
    free: int


class IdleSpool(Struct, frozen=True, gc=False):
    """A spool with the bytes that it takes on the disk, last written at ``written_at``, in epoch seconds."""

    digest: Digest
    size: int
    written_at: float


class Survey(Struct, frozen=True):
    """All under the data folder but the blobs; ``beside``: bytes of what is no spool either."""

    spools: Sequence[IdleSpool]
    beside: int


class Disk(Protocol):
    """Sizes are what files take on the disk: whole blocks, no holes.  All methods raise ``StoreFailed``."""

    def space(self) -> Space:
        """Tell the room there is: one system call."""
        ...

    async def survey(self) -> Survey:
        """Measure everything but the blobs, spools that are open included."""
        ...

    async def drop_spool(self, digest: Digest) -> None:
        """Remove a spool that is not open, if there is one."""
        ...
