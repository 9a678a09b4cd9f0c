"""What the cache holds, as people look for it: sorted, filtered, in numbered pages; and how it is let go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository

__all__ = [
    "Catalogue",
    "Find",
    "Found",
    "HeldBlob",
    "HeldManifest",
    "HeldRepository",
    "HeldTag",
    "Purged",
    "Purges",
]

T = TypeVar("T")


class Find(Struct, frozen=True):
    """What is looked for: rows that contain ``text``, in the order of ``sort``, so many after so many.

    ``sort`` is the name of a row's field, with ``-`` before it from the greatest down.
    """

    sort: str
    text: str = ""
    offset: int = 0
    limit: int = 50


class Found(Struct, Generic[T], frozen=True):
    """A page of rows, and how many there are in all."""

    rows: list[T]
    total: int


class HeldRepository(Struct, frozen=True):
    """``size``: bytes stored of its blobs, which other repositories may share; times are epoch seconds."""

    repository: Repository
    tags: int
    manifests: int
    size: int
    last_used_at: float | None


class HeldTag(Struct, frozen=True):
    """``media_type`` and ``size`` are of the manifest that it means, ``None`` where that is not held."""

    tag: str
    digest: Digest
    checked_at: float
    media_type: str | None
    size: int | None


class HeldManifest(Struct, frozen=True):
    digest: Digest
    media_type: str
    size: int
    fetched_at: float
    last_used_at: float
    uses: int


class HeldBlob(Struct, frozen=True):
    digest: Digest
    size: int
    stored_at: float
    last_used_at: float
    uses: int


class Catalogue(Protocol):
    """May walk over all there is, so nothing here is for the hot path.  Raises ``MetadataFailed``."""

    async def held_repositories(self, find: Find, upstream: str | None = None) -> Found[HeldRepository]:
        """Find repositories by their path; sorted by ``repository``, ``size`` or ``last_used_at``."""
        ...

    async def held_tags(self, repository: Repository, find: Find) -> Found[HeldTag]:
        """Find tags by their name; sorted by ``tag`` or ``checked_at``."""
        ...

    async def held_tag(self, repository: Repository, tag: str) -> HeldTag | None: ...

    async def held_manifests(self, repository: Repository, find: Find) -> Found[HeldManifest]:
        """Find manifests by their digest; sorted by any field but ``media_type`` and ``uses``."""
        ...

    async def held_blobs(self, find: Find, repository: Repository | None = None) -> Found[HeldBlob]:
        """Find stored blobs by their digest; sorted by any field but ``uses``."""
        ...

    async def held_blob(self, digest: Digest) -> HeldBlob | None: ...

    async def holders(self, digest: Digest, find: Find) -> Found[Repository]:
        """Find the repositories that are known to hold a blob, sorted by ``repository``."""
        ...


class Purged(Struct, frozen=True):
    """What was let go, or would be: ``blobs`` are those whose bytes nothing refers to any more."""

    repositories: Sequence[Repository]
    tags: Sequence[tuple[Repository, str]]
    manifests: Sequence[tuple[Repository, Digest]]
    blobs: Sequence[tuple[Digest, int]]


class Purges(Protocol):
    async def purge(
        self,
        repositories: Callable[[Repository], bool],
        tags: Callable[[str], bool] | None,
        *,
        dry_run: bool,
    ) -> Purged:
        """Forget the chosen tags of the chosen repositories, and what only they led to.

        Without ``tags`` the repositories are forgotten, all they hold with them.  What no repository
        refers to any more is forgotten too, but the bytes of blobs are the caller's to delete.  A dry
        run changes nothing and returns the same.  Raises ``MetadataFailed``.
        """
        ...
