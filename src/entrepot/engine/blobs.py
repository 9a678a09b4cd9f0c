"""Pulling blobs: from the store, else through the fill."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection

from entrepot.engine.fetch import Source
from entrepot.engine.fill import Fill
from entrepot.engine.fills import Fills
from entrepot.engine.flights import Flights
from entrepot.engine.lookup import found
from entrepot.engine.memory import Lru
from entrepot.engine.pieces import Piece, Span
from entrepot.engine.revalidation import Cache
from entrepot.engine.sites import Sites
from entrepot.engine.uses import Uses
from entrepot.errors import MetadataFailed, StoreFailed, WrongContent
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.ports.blobs import BlobStore, OpenBlob
from entrepot.ports.metadata import BlobIndex, KnownBlob
from entrepot.telemetry.log import log

__all__ = ["BlobAnswer", "Blobs", "FillingBlob", "HeldBlob"]

_LINKS_IN_MEMORY = 50_000
_CONFIRMED = KnownBlob(None)


class HeldBlob:
    """A blob of the store, opened; ``size`` in bytes."""

    __slots__ = ("_blob", "size")

    cache = Cache.HIT

    def __init__(self, blob: OpenBlob) -> None:
        self._blob = blob
        self.size = blob.size

    def span(self, start: int, stop: int | None) -> Span:
        return Span(self._blob.fileno(), start, self.size if stop is None else stop)

    def close(self) -> None:
        self._blob.close()


class FillingBlob:
    """A blob on its way; ``size`` in bytes, ``None`` while nobody told it."""

    __slots__ = ("_fill", "_fills")

    cache = Cache.MISS

    def __init__(self, fill: Fill, fills: Fills) -> None:
        self._fill = fill
        self._fills = fills

    @property
    def size(self) -> int | None:
        return self._fill.size

    def pieces(self, start: int, stop: int | None) -> AsyncGenerator[Piece]:
        """Yield ``[start, stop)`` as it comes; raises where the rest will not."""
        return self._fill.pieces(start, stop)

    async def kept(self) -> None:
        """Wait until all of it is in the store, if it can be kept; raise why it does not come."""
        await self._fill.kept()

    def close(self) -> None:
        self._fills.leave(self._fill)


BlobAnswer = HeldBlob | FillingBlob
"""What a blob is read from; whoever opened it closes it."""


class Blobs:
    """Who may read a blob under a repository: whoever may read the repository, if it is known to hold it."""

    def __init__(self, sites: Sites, store: BlobStore, index: BlobIndex, fills: Fills, uses: Uses) -> None:
        self._sites = sites
        self._store = store
        self._index = index
        self._fills = fills
        self._uses = uses
        self._links = Lru[tuple[Repository, Digest], KnownBlob](_LINKS_IN_MEMORY)
        self._confirmations = Flights[tuple[Repository, Digest], int | None]()
        self._checks = Flights[Digest, bool]()

    async def size(self, repository: Repository, digest: Digest) -> int | None:
        """Return a blob's size without moving its bytes; raise as ``open`` does."""
        self._sites.of(repository)
        known = self._known(repository, digest)
        if known is not None and (blob := await self._held(repository, digest, known)) is not None:
            blob.close()
            return blob.size
        fill = self._fills.running(digest)
        if known is not None and fill is not None and fill.size is not None:
            return fill.size
        size = await self._confirm(repository, digest)
        return known.size if size is None and known is not None else size

    async def expected_size(self, repository: Repository, digest: Digest) -> int | None:
        """Return the size that a manifest tells, else do as ``size`` does."""
        known = self._known(repository, digest)
        if known is not None and known.size is not None:
            return known.size
        return await self.size(repository, digest)

    async def open(
        self, repository: Repository, digest: Digest, start: int = 0, stop: int | None = None
    ) -> BlobAnswer:
        """Open a blob to read ``[start, stop)``, when its first bytes are at hand.

        Raises ``NotHere``, ``Refused``, ``RateLimited`` or ``UpstreamDown``.
        """
        self._sites.of(repository)
        known = self._known(repository, digest)
        if known is None and self._is_here(digest):
            await self._confirm(repository, digest)
            known = _CONFIRMED
        blob = await self._held(repository, digest, known) if known is not None else None
        if blob is not None:
            self._uses.note(digest)
            return HeldBlob(blob)
        try:
            return await self._open_fill(repository, digest, known, start, stop)
        except WrongContent:
            # Nothing was sent yet, so the client need not notice if the upstream does better now.
            return await self._open_fill(repository, digest, known and _CONFIRMED, start, stop)

    def is_coming(self, digest: Digest) -> bool:
        """Tell whether it is being fetched, to the moment when it is recorded."""
        return self._fills.running(digest) is not None

    def forget(self, repositories: Collection[Repository]) -> None:
        """Drop from memory what blobs these repositories hold: the index may have forgotten some."""
        self._links.forget_all(lambda link: link[0] in repositories)

    async def keep(self, repository: Repository, digest: Digest) -> None:
        """Return when a blob is in the store, though nobody reads it.

        Raises as ``open`` does, and ``StoreFailed`` where there is no room.
        """
        answer = await self.open(repository, digest)
        try:
            if isinstance(answer, FillingBlob):
                await answer.kept()
        finally:
            answer.close()
        if isinstance(answer, FillingBlob) and not self.is_stored(digest):
            raise StoreFailed(
                f"the disk has no room for {digest} within the budget, or fails: raise cache.max_size, unpin"
                " something, or see what blob_passed_through in the log says"
            )

    def is_stored(self, digest: Digest) -> bool:
        blob = self._open_stored(digest)
        if blob is not None:
            blob.close()
        return blob is not None

    async def close(self) -> None:
        await self._confirmations.close()
        await self._checks.close()

    def _is_here(self, digest: Digest) -> bool:
        """Tell whether the bytes are here, or coming, for some other repository."""
        return self.is_coming(digest) or self.is_stored(digest)

    def _open_stored(self, digest: Digest) -> OpenBlob | None:
        """Open a blob of the store; one that the disk does not give is fetched again."""
        try:
            return self._store.open(digest)
        except StoreFailed as failure:
            log.warning("blob_unreadable", digest=str(digest), reason=str(failure))
            return None

    async def _held(self, repository: Repository, digest: Digest, known: KnownBlob) -> OpenBlob | None:
        """Open a blob of the store; one that gives reason to doubt it is read again first."""
        blob = self._open_stored(digest)
        if blob is None or (known.size in (None, blob.size) and blob.is_untouched):
            return blob
        blob.close()
        if not await self._checks.join(digest, lambda: self._check(digest)):
            return None
        # So that a manifest that lies has it read again but once.
        blob = self._open_stored(digest)
        if blob is not None and known.size != blob.size:
            self._links.put((repository, digest), _CONFIRMED)
        return blob

    async def _check(self, digest: Digest) -> bool:
        """Tell whether a blob is right; drop a wrong one."""
        is_right = await self._store.is_right(digest)
        if is_right is False:
            log.error("blob_damaged", digest=str(digest), action="dropped, to be fetched again")
            await self._store.delete(digest)
        return bool(is_right)

    async def _open_fill(
        self, repository: Repository, digest: Digest, known: KnownBlob | None, start: int, stop: int | None
    ) -> BlobAnswer:
        source = Source(self._sites.of(repository).upstream, repository, digest)
        fill = await self._fills.join(source, known.size if known is not None else None)
        try:
            await fill.ready(start, stop)
            if known is None:
                await self._learn(repository, digest, fill, source)
        except BaseException:
            self._fills.leave(fill)
            raise
        self._uses.note(digest)
        return FillingBlob(fill, self._fills)

    async def _learn(self, repository: Repository, digest: Digest, fill: Fill, source: Source) -> None:
        """Keep that the repository holds the blob, by this download if none but it had a part in it."""
        if fill.sources == [source] and fill.is_confirmed:
            await self._remember(repository, digest)
        else:
            await self._confirm(repository, digest)

    def _known(self, repository: Repository, digest: Digest) -> KnownBlob | None:
        known = self._links.get((repository, digest))
        if known is None and (known := found(lambda: self._index.blob(repository, digest))) is not None:
            self._links.put((repository, digest), known)
        return known

    async def _confirm(self, repository: Repository, digest: Digest) -> int | None:
        return await self._confirmations.join((repository, digest), lambda: self._ask(repository, digest))

    async def _ask(self, repository: Repository, digest: Digest) -> int | None:
        size = await self._sites.of(repository).upstream.head_blob(repository.name, digest)
        await self._remember(repository, digest)
        return size

    async def _remember(self, repository: Repository, digest: Digest) -> None:
        """Keep that the upstream confirmed the blob, but no size: of those only a manifest's is verified."""
        if (repository, digest) not in self._links:
            self._links.put((repository, digest), _CONFIRMED)
        try:
            await self._index.confirm_blob(repository, digest, None)
        except MetadataFailed as failure:
            log.warning("link_not_recorded", repository=str(repository), reason=str(failure))
