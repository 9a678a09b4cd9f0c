"""One registry that is cached, as the engine sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from entrepot.oci.digest import Digest
from entrepot.oci.reference import Reference
from entrepot.policy.breaker import Health

__all__ = ["BlobOrigin", "BlobStream", "Breaker", "FetchedManifest", "Inflow", "ManifestHead", "Upstream"]


class ManifestHead(Struct, frozen=True):
    """What a HEAD told; ``digest`` is absent where the registry sends no Docker-Content-Digest."""

    digest: Digest | None
    media_type: str | None
    size: int | None


class FetchedManifest(Struct, frozen=True):
    """A manifest whose bytes were verified against ``digest``; ``media_type`` verbatim."""

    digest: Digest
    media_type: str
    content: bytes


class Inflow(Protocol):
    """The bytes of a download that are still on their way, for whoever has a thread and a place for them."""

    async def ready(self) -> bool:
        """Wait until some have come; tell whether there are any: ``False`` behind the last.

        Raises as ``BlobStream.chunks``.
        """
        ...

    def read_into(self, buffer: memoryview) -> int:
        """Take what has come, and return how many bytes: 0 for none, whatever the reason.

        Blocks for a few milliseconds when nothing is there, so call it from a thread.
        """
        ...


class BlobOrigin(Protocol):
    """One of the places that an upstream has a blob from, the same for all that comes from there."""

    def distrust(self, digest: Digest) -> None:
        """Note that what came of a blob was wrong: for a while any other place is asked for it first."""
        ...


class BlobStream(Protocol):
    """An open download.

    ``start`` is the offset of its first byte: 0, although more was asked to be
    skipped, where the registry does not honour Range.  ``stop`` is the offset after
    its last byte, ``size`` the whole blob's size; both ``None`` where not told.
    """

    @property
    def origin(self) -> BlobOrigin: ...

    @property
    def start(self) -> int: ...

    @property
    def stop(self) -> int | None: ...

    @property
    def size(self) -> int | None: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes as they arrive, none of them empty.

        Raises ``UpstreamTimeout`` when nothing comes for the read timeout and ``UpstreamDown``
        when the connection breaks or the body ends before ``stop``.
        """
        ...

    def divert(self) -> Inflow | None:
        """Hand over the bytes that have not come yet, where that is possible and worth while.

        To be called before ``chunks``, which then yields no more than what is here already.
        """
        ...


class Breaker(Protocol):
    """Remembers whether asking an upstream is of use: the best of what holds for its endpoints."""

    def health(self) -> Health: ...

    def doubt(self, waited: float) -> None:
        """Count a request that has no answer after ``waited`` seconds as a failure, though it still runs.

        Whoever asks has waited so long; requests that began later are not to blame.
        """
        ...


class Upstream(Protocol):
    """Every method may raise ``NotHere``, ``Refused``, ``RateLimited`` or ``UpstreamDown`` and its kinds.

    Implementations time out, retry, fail over and authenticate by themselves.
    ``repository`` is the full name the registry knows (``library/alpine``).
    """

    async def head_manifest(self, repository: str, reference: Reference) -> ManifestHead: ...

    async def get_manifest(self, repository: str, reference: Reference) -> FetchedManifest:
        """Fetch and verify; raises ``WrongContent`` where no endpoint sends the right bytes."""
        ...

    async def head_blob(self, repository: str, digest: Digest) -> int | None:
        """Confirm that ``repository`` holds the blob; return its size in bytes where told."""
        ...

    def open_blob(
        self,
        repository: str,
        digest: Digest,
        start: int = 0,
        stop: int | None = None,
        *,
        whole_of: AbstractSet[BlobOrigin] = frozenset(),
    ) -> AbstractAsyncContextManager[BlobStream]:
        """Begin a download of ``[start, stop)``, from ``whole_of`` of all; leaving the context ends it."""
        ...

    async def tags(self, repository: str) -> list[str]:
        """All tags, every page of them, in the registry's order."""
        ...

    async def repositories(self) -> list[str]:
        """All repositories, where the registry tells them (``_catalog``)."""
        ...

    async def referrers(self, repository: str, digest: Digest) -> bytes:
        """Return an index of the referrers, empty for none: by the API, else by the fallback tag."""
        ...

    @property
    def breaker(self) -> Breaker: ...
