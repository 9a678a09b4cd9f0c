"""Reads stored content again and drops what is not what its digest says, so that the next pull fetches it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from entrepot.errors import MetadataFailed, StoreFailed
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.oci.schema1 import names_manifest
from entrepot.ports.blobs import BlobStore, Pace, at_full_speed
from entrepot.ports.metadata import BlobIndex, Contents

__all__ = ["Finding", "Kind", "Scrub", "ScrubbedMetadata", "Verdict"]

_PAGE = 100


class Kind(StrEnum):
    BLOB = "blob"
    MANIFEST = "manifest"


class Verdict(StrEnum):
    RIGHT = "right"
    DROPPED = "dropped"
    """It was wrong, or the disk could not give it back."""
    GONE = "gone"
    """It is not here, or was dropped by another meanwhile."""
    FAILED = "failed"
    """It could not be read, or is wrong and could not be dropped."""


class Finding(Struct, frozen=True):
    """``size``: how many bytes were read."""

    kind: Kind
    digest: Digest
    verdict: Verdict
    size: int = 0
    reason: str = ""


class ScrubbedMetadata(BlobIndex, Contents, Protocol):
    """What a scrub needs to know, and to have forgotten."""


class Scrub:
    """May run in another process than the one that serves the same folder.

    Content is named by its digest and never changed, so that dropping what is wrong takes nothing
    right away from anybody.
    """

    def __init__(self, store: BlobStore, metadata: ScrubbedMetadata, pace: Pace = at_full_speed) -> None:
        self._store = store
        self._metadata = metadata
        self._pace = pace

    async def manifests(self) -> AsyncIterator[Finding]:
        """Check every manifest; raises ``MetadataFailed`` where the database cannot be gone through."""
        async for digest in _paged(self._metadata.manifests_after):
            yield await self.manifest(digest)

    async def blobs(self, after: Digest | None = None) -> AsyncIterator[Finding]:
        """Check every blob, in the order of their names, beyond ``after``; raises ``StoreFailed``."""
        async for digest, _ in self._store.blobs(after):
            yield await self.blob(digest)

    async def repository(self, repository: Repository) -> AsyncIterator[Finding]:
        """Check what a repository holds; raises ``MetadataFailed``."""
        metadata = self._metadata
        async for digest in _paged(lambda after, limit: metadata.manifests_of(repository, after, limit)):
            yield await self.manifest(digest)
        async for digest in _paged(lambda after, limit: metadata.blobs_of(repository, after, limit)):
            yield await self.blob(digest)

    async def content(self, digest: Digest) -> AsyncIterator[Finding]:
        """Check what a digest names, be it a manifest or a blob."""
        yield await self.manifest(digest)
        yield await self.blob(digest)

    async def manifest(self, digest: Digest) -> Finding:
        try:
            content = self._metadata.content(digest)
            if content is None:
                return Finding(Kind.MANIFEST, digest, Verdict.GONE)
            await self._pace(len(content))
            if names_manifest(digest, content):
                return Finding(Kind.MANIFEST, digest, Verdict.RIGHT, len(content))
            await self._metadata.forget_manifest(digest)
        except MetadataFailed as failure:
            return Finding(Kind.MANIFEST, digest, Verdict.FAILED, reason=str(failure))
        return Finding(Kind.MANIFEST, digest, Verdict.DROPPED, len(content))

    async def blob(self, digest: Digest) -> Finding:
        read = 0

        async def count(size: int) -> None:
            nonlocal read
            read += size
            await self._pace(size)

        try:
            is_right = await self._store.is_right(digest, count)
            if is_right is None:  # What is there by now, if anything, has just been fetched.
                return Finding(Kind.BLOB, digest, Verdict.GONE, read)
            if is_right:
                return Finding(Kind.BLOB, digest, Verdict.RIGHT, read)
            was_here = await self._store.delete(digest)
            # The row last: one without a blob is forgotten sooner or later, a blob without one is not known.
            if was_here:
                await self._metadata.forget_stored(digest)
        except StoreFailed as failure:
            return Finding(Kind.BLOB, digest, Verdict.FAILED, read, str(failure))
        except MetadataFailed as failure:
            return Finding(Kind.BLOB, digest, Verdict.DROPPED, read, str(failure))
        return Finding(Kind.BLOB, digest, Verdict.DROPPED if was_here else Verdict.GONE, read)


async def _paged(page: Callable[[Digest | None, int], list[Digest]]) -> AsyncIterator[Digest]:
    last = None
    while found := page(last, _PAGE):
        for digest in found:
            yield digest
        last = found[-1]
