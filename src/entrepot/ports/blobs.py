"""Where content lies: finished blobs, and spools in which blobs grow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol

from entrepot.oci.digest import Digest
from entrepot.ports.upstream import Inflow

__all__ = ["BlobStore", "Bookmark", "OpenBlob", "Pace", "Spool", "Sweeping", "at_full_speed"]

Pace = Callable[[int], Awaitable[None]]
"""Told how many bytes were just read, it takes the time that whoever reads in the background is to leave."""


async def at_full_speed(_read_bytes: int) -> None:
    """Take no time."""


class OpenBlob(Protocol):
    """A finished blob, opened: its bytes stay readable until ``close``, even if it is deleted meanwhile."""

    @property
    def size(self) -> int: ...

    @property
    def is_untouched(self) -> bool:
        """Tell whether nobody wrote to it since it was stored or found right, as far as a look can tell.

        Where it is not, ``BlobStore.is_right`` has to tell, and makes it so.
        """
        ...

    def fileno(self) -> int:
        """Return a file descriptor fit for ``sendfile`` at any offset."""
        ...

    def close(self) -> None: ...


class Spool(Protocol):
    """A blob that is not whole yet: invisible to ``BlobStore.open`` until committed.

    Every ``write`` and ``receive`` that returned survives the death of the process.
    """

    @property
    def present(self) -> Sequence[tuple[int, int]]:
        """The intervals ``[start, stop)`` that were there when the spool was opened."""
        ...

    def fileno(self) -> int:
        """Return a descriptor from which what was written can be read at once."""
        ...

    async def write(self, offset: int, chunk: bytes) -> None:
        """Put ``chunk`` at ``offset``; raise ``DiskFull`` where there is no room."""
        ...

    async def receive(self, offset: int, inflow: Inflow, most: int) -> int:
        """Put what comes of a download at ``offset``: at most so many bytes, and what comes within moments.

        Returns how many; raises as ``write`` does.
        """
        ...

    async def skip(self, inflow: Inflow, most: int) -> int:
        """Drop what comes next of a download, at most so many bytes; return how many."""
        ...

    async def feed(self, hasher: Any, start: int, stop: int) -> None:
        """Update a ``hashlib`` object with the bytes of ``[start, stop)``."""
        ...

    async def commit(self, size: int) -> None:
        """Sync ``size`` bytes to the disk and make them the blob; the descriptor stays readable."""
        ...

    async def discard(self) -> None:
        """Remove what was written; the descriptor stays readable."""
        ...

    async def close(self) -> None:
        """Close the descriptor; what is neither committed nor discarded is there to be resumed."""
        ...


class BlobStore(Protocol):
    """Content by digest.  Implementations pass ``entrepot.testing.blob_contract``."""

    def open(self, digest: Digest) -> OpenBlob | None:
        """Open a finished blob: one system call or two, for the hot path."""
        ...

    async def spool(self, digest: Digest) -> Spool:
        """Open the spool of a blob: the one that an earlier process left, else an empty one.

        At most one may be open for a digest at a time.
        """
        ...

    async def delete(self, digest: Digest) -> bool:
        """Remove a finished blob; tell whether there was one."""
        ...

    async def is_right(self, digest: Digest, pace: Pace = ...) -> bool | None:
        """Read a finished blob again and tell whether it is what its digest says; ``None`` where it is gone.

        One that the disk cannot give back is not right.
        """
        ...

    async def missing(self, digests: Sequence[Digest]) -> list[Digest]:
        """Tell which of these are not finished blobs here; raise ``StoreFailed`` where it cannot be told."""
        ...

    def blobs(self, after: Digest | None = None) -> AsyncIterator[tuple[Digest, int]]:
        """Walk over all blobs and their sizes in bytes, in the order of their names, beyond ``after``."""
        ...


class Sweeping(Protocol):
    """A store that may hold what is of no use to it: remains of crashes, files of strangers."""

    def sweep(self, now: float) -> AsyncIterator[int]:
        """Drop that, in small steps; yield after each how many files it dropped.

        Nothing that is open is dropped, nor what was changed within an hour of ``now``, in epoch seconds.
        What cannot be dropped does not keep the rest: it is told in the end, by ``StoreFailed``.
        """
        ...


class Bookmark(Protocol):
    """How far a work has got that takes longer than the process may live."""

    def read(self) -> bytes:
        """Return what was last written, nothing if there was nothing; raise ``StoreFailed``."""
        ...

    async def write(self, content: bytes) -> None: ...
