"""What is known of all content that may be evicted, in the order in which it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from entrepot.oci.digest import Digest

__all__ = ["Candidate", "EvictionIndex", "LeftBehind", "Stored"]


class Candidate(Struct, frozen=True, gc=False):
    """A blob or a manifest as it was when looked up; ``size`` is what it takes on the disk, in bytes."""

    digest: Digest
    size: int
    priority: float
    last_used_at: float
    is_manifest: bool


class Stored(Struct, frozen=True, gc=False):
    """How many blobs are recorded as stored, and what they take on the disk, in bytes."""

    blobs: int
    size: int


class EvictionIndex(Protocol):
    def stored(self) -> Stored:
        """Tell the totals, kept in step with ``record_stored`` and ``forget_stored``: no scan."""
        ...

    def charges(self) -> Mapping[str, int]:
        """Tell the bytes that the blobs of each upstream take: of the one first known to hold them."""
        ...

    def lowest(self, after: Candidate | None, limit: int, upstream: str | None = None) -> list[Candidate]:
        """Page through what may go, what goes first in front, beyond ``after``.

        Blobs and manifests together, or the blobs that one upstream is charged with.
        """
        ...

    def candidates(self, digests: Sequence[Digest]) -> list[Candidate]:
        """Look up what is known of these digests; one that is a blob and a manifest is there twice."""
        ...

    async def evict(self, victims: Sequence[Candidate]) -> list[Candidate]:
        """Forget content, and all that only it gave a reason to keep: links, tags, lists, repositories.

        Returns what has gone: not what was used or stored again since it was looked up.
        """
        ...

    async def advance(self, reached: float, spared: Sequence[Candidate]) -> None:
        """Keep that eviction has come to a priority; put those that may not go behind those that may."""
        ...

    async def give_back(self) -> bool:
        """Return some room that nothing needs any more to the disk; tell whether there may be more."""
        ...


class LeftBehind(Protocol):
    """What content has left in the metadata that is gone, or never came."""

    async def clean(self, after: int, before: float) -> int | None:
        """Look through the repository that comes next, and forget what no content gives a reason to keep.

        Of lists and tags, only what was last checked ``before``, in epoch seconds.  Returns where to go
        on ``after``, beginning with 0; ``None`` at the end.
        """
        ...
