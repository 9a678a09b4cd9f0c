"""What the cache remembers about content: repositories, tags, manifests, links, use.

Look-ups are synchronous: point queries of some 20 microseconds on the hot path.
Changes are coroutines, executed in order by one writer; when one returns, what it
wrote is visible to look-ups and survives the death of the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks
from entrepot.oci.reference import Repository

__all__ = [
    "BlobIndex",
    "Contents",
    "KnownBlob",
    "Listing",
    "Listings",
    "ManifestIndex",
    "Mendable",
    "StoredBlobs",
    "StoredManifest",
    "TagRecord",
    "Use",
]


class StoredManifest(Struct, frozen=True, gc=False):
    digest: Digest
    media_type: str
    content: bytes


class TagRecord(Struct, frozen=True, gc=False):
    """``checked_at``: when the upstream last said that the tag means ``digest``, in epoch seconds."""

    digest: Digest
    checked_at: float


class KnownBlob(Struct, frozen=True, gc=False):
    """A repository is known to hold the blob; ``size`` in bytes, ``None`` where nobody told."""

    size: int | None


class Listing(Struct, frozen=True, gc=False):
    """A cached answer: the bytes of a referrers index, or a JSON array of tags."""

    content: bytes
    checked_at: float


class Use(Struct, frozen=True, gc=False):
    """``count`` uses of content since the last report, the newest at ``last_used_at``, in epoch seconds."""

    digest: Digest
    last_used_at: float
    count: int


class ManifestIndex(Protocol):
    def manifest(self, repository: Repository, digest: Digest) -> StoredManifest | None:
        """Find a manifest that ``repository`` is known to hold."""
        ...

    def child(self, repository: Repository, digest: Digest) -> StoredManifest | None:
        """Find a manifest that is held for others, and named by an index that ``repository`` holds."""
        ...

    def manifest_anywhere(self, digest: Digest) -> StoredManifest | None:
        """Find a manifest under whatever repository: not to be served without leave."""
        ...

    def tag(self, repository: Repository, tag: str) -> TagRecord | None: ...

    async def record_manifest(
        self, repository: Repository, manifest: StoredManifest, links: ManifestLinks, now: float
    ) -> None:
        """Keep a manifest, that the repository holds it, and what it links to, blobs' sizes included."""
        ...

    async def record_tag(self, repository: Repository, tag: str, digest: Digest, now: float) -> None:
        """Keep that the upstream said at ``now`` that the tag means ``digest``."""
        ...

    async def forget_tag(self, repository: Repository, tag: str) -> None: ...


class BlobIndex(Protocol):
    def blob(self, repository: Repository, digest: Digest) -> KnownBlob | None:
        """Tell whether ``repository`` is known to hold the blob: by one of its manifests, or confirmed."""
        ...

    async def confirm_blob(self, repository: Repository, digest: Digest, size: int | None) -> None:
        """Keep that the upstream confirmed the blob for this repository."""
        ...

    async def record_stored(self, digest: Digest, size: int, now: float) -> None:
        """Keep that the bytes of a blob are in the store."""
        ...

    async def forget_stored(self, digest: Digest) -> None: ...

    async def record_uses(self, uses: Sequence[Use]) -> None:
        """Keep a batch of uses, of blobs and manifests alike; unknown digests are passed over."""
        ...


class StoredBlobs(Protocol):
    """Which blobs ``BlobIndex.record_stored`` was told of."""

    def is_stored(self, digest: Digest) -> bool: ...

    def stored_after(self, digest: Digest | None, limit: int) -> list[Digest]:
        """Page through them, in the order of their names, beyond ``digest``."""
        ...


class Contents(Protocol):
    """What is known of all content, for whoever goes through it: by pages of digests, in their order."""

    def manifests_after(self, digest: Digest | None, limit: int) -> list[Digest]: ...

    def manifests_of(self, repository: Repository, after: Digest | None, limit: int) -> list[Digest]: ...

    def blobs_of(self, repository: Repository, after: Digest | None, limit: int) -> list[Digest]:
        """Page through the blobs that the repository holds, whether or not they are stored here."""
        ...

    def content(self, digest: Digest) -> bytes | None:
        """Return the bytes kept for a manifest, whether or not they are right."""
        ...

    async def forget_manifest(self, digest: Digest) -> None:
        """Forget a manifest, and that any repository holds it; tags that mean it stay."""
        ...

    def stored_bytes(self) -> int:
        """Return the sum of the sizes of all blobs that are recorded as stored."""
        ...

    def upstreams(self) -> list[str]:
        """Return the names of those that something is known of, be they configured or not."""
        ...


class Listings(Protocol):
    def repositories(self, upstream: str | None, after: str, limit: int) -> list[str]:
        """Page through cached names, sorted, beyond ``after``: of one upstream, else ``upstream/name``."""
        ...

    def tags(self, repository: Repository) -> Listing | None:
        """Return the last full list of tags (JSON array) that the upstream gave."""
        ...

    def cached_tags(self, repository: Repository) -> Listing | None:
        """List the tags whose manifests are cached, sorted, if any: as old as the oldest check of one."""
        ...

    async def record_tags(self, repository: Repository, content: bytes, now: float) -> None: ...

    def referrers(self, repository: Repository, subject: Digest) -> Listing | None: ...

    async def record_referrers(
        self, repository: Repository, subject: Digest, content: bytes, now: float
    ) -> None: ...


class Mendable(Protocol):
    """What is kept on a disk may be damaged there."""

    async def check(self) -> None:
        """Look at all of it, beside other calls; raise ``MetadataFailed`` where it is damaged."""
        ...

    async def renew(self) -> bool:
        """Begin anew if damage was met, by any call, or the file is gone; tell whether that was so.

        While that runs, other calls fail.  What was known is learnt again: which blobs are stored by
        walking over them, all else by asking upstreams.
        """
        ...
