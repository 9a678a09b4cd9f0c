"""Pulling manifests: by tag, believed for a while; by digest, verified once and for ever."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Collection, Iterable

from msgspec import Struct

from entrepot.engine.flights import Flights
from entrepot.engine.lookup import found
from entrepot.engine.memory import Lru
from entrepot.engine.revalidation import Answer, Cache, Question, Revalidation
from entrepot.engine.sites import Site, Sites
from entrepot.engine.uses import Uses
from entrepot.errors import MetadataFailed, NotHere
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks, read_links
from entrepot.oci.reference import Reference, Repository, Tag
from entrepot.ports.clock import Clock
from entrepot.ports.metadata import ManifestIndex, StoredManifest, TagRecord
from entrepot.telemetry.log import log
from entrepot.telemetry.metrics import Metrics

__all__ = ["Manifests", "Refreshed"]

_TAGS_IN_MEMORY = _MOST_UNRECORDED = 20_000
_OVERHEAD = 512
_LARGE = 256 << 10


class Refreshed(Struct, frozen=True):
    """What a tag meant, if it was known, and what it means now."""

    before: Digest | None
    after: Digest


class Manifests:
    """``memory`` is how many bytes of manifests are kept at hand."""

    def __init__(
        self,
        sites: Sites,
        index: ManifestIndex,
        uses: Uses,
        clock: Clock,
        metrics: Metrics,
        *,
        memory: int,
    ) -> None:
        self._sites = sites
        self._metrics = metrics
        self._index = index
        self._uses = uses
        self._clock = clock
        self._manifests = Lru[tuple[Repository, Digest], StoredManifest](memory, _weigh)
        self._tags = Lru[tuple[Repository, Tag], TagRecord](_TAGS_IN_MEMORY)
        self._by_tag = Revalidation[StoredManifest](clock)
        self._by_digest = Flights[tuple[Repository, Digest], StoredManifest]()
        self._unrecorded: dict[tuple[Repository, Reference], None] = {}
        """What the index does not know, though it may be at hand; the oldest first."""
        self._changes = 0

    @property
    def generation(self) -> int:
        """Grows when something changes, is refreshed or let go, or rules do: all is asked again then."""
        return self._changes + self._sites.generation

    async def pull(self, repository: Repository, reference: Reference) -> Answer[StoredManifest]:
        """Find or fetch a manifest.

        Raises ``NotHere``, ``Refused``, ``RateLimited`` or ``UpstreamDown`` where nothing that
        is cached may be served instead.
        """
        site = self._sites.of(repository)
        if isinstance(reference, Tag):
            answer = await self._pull_tag(site, repository, reference)
        else:
            answer = await self._pull_digest(site, repository, reference)
        self._uses.note(answer.value.digest)
        return answer

    def still_holds(self, answer: Answer[StoredManifest], generation: int) -> bool:
        """Tell whether what was answered in a generation may be given again; that is a use of its content."""
        now = self._clock.now()
        if answer.since <= now < answer.until and generation == self.generation:
            self._uses.note(answer.value.digest, now)
            return True
        return False

    async def refresh(self, repository: Repository, tag: Tag) -> Refreshed:
        """Ask the upstream what a tag means now, however fresh it is; raise as ``pull`` does.

        Where the upstream fails, what is cached stays.
        """
        site = self._sites.of(repository)
        record = self._tag(repository, tag)
        try:
            manifest = await self._by_tag.refresh(self._question(site, repository, tag, record))
        finally:
            self._changes += 1
        return Refreshed(record.digest if record is not None else None, manifest.digest)

    def forget(
        self, tags: Iterable[tuple[Repository, str]], manifests: Iterable[tuple[Repository, Digest]]
    ) -> None:
        """Drop from memory what the index has forgotten."""
        for repository, tag in tags:
            self._tags.forget((repository, Tag(tag)))
        for held in manifests:
            self._manifests.forget(held)
        self._changes += 1

    def forget_everywhere(self, digests: Collection[Digest]) -> None:
        """Drop manifests from memory that the index has forgotten under whatever repository."""
        if digests:
            self._manifests.forget_all(lambda key: key[1] in digests)
            self._changes += 1

    def note_loss(self) -> None:
        """Note that the index has forgotten everything: what is at hand is to be recorded again."""
        self._unrecorded = dict.fromkeys([*self._manifests, *self._tags])

    async def record_again(self) -> None:
        """Record what is at hand and could not be recorded before, until that fails again.

        Else nobody would do so: what is at hand is not fetched again, and would be lost at a restart.
        """
        for repository, reference in list(self._unrecorded):
            if not await self._noted(repository, reference, self._record(repository, reference)):
                return

    async def close(self) -> None:
        await self._by_tag.close()
        await self._by_digest.close()

    async def _pull_tag(self, site: Site, repository: Repository, tag: Tag) -> Answer[StoredManifest]:
        record = self._tag(repository, tag)
        return await self._by_tag.answer(self._question(site, repository, tag, record))

    def _question(
        self, site: Site, repository: Repository, tag: Tag, record: TagRecord | None
    ) -> Question[StoredManifest]:
        cached = self._find(repository, record.digest) if record is not None else None
        return Question(
            key=(repository, tag),
            cached=cached,
            checked_at=record.checked_at if record is not None else 0.0,
            immutable=site.tags.is_immutable(tag.name),
            limits=site.tags.freshness(tag.name),
            breaker=site.upstream.breaker,
            ask=lambda: self._ask_for_tag(site, repository, tag, cached),
        )

    async def _ask_for_tag(
        self, site: Site, repository: Repository, tag: Tag, cached: StoredManifest | None
    ) -> StoredManifest:
        """Fetch at once where nothing is cached that a HEAD might confirm."""
        if cached is None:
            return await self._fetch_tag(site, repository, tag)
        outcome = "error"
        try:
            manifest = await self._check_tag(site, repository, tag)
            outcome = "unchanged" if manifest.digest == cached.digest else "changed"
        except NotHere:
            outcome = "gone"
            if site.tags.freshness(tag.name).follow_deletions:
                await self._forget_tag(repository, tag)
            raise
        finally:
            self._metrics.revalidations(repository.upstream, outcome).inc()
        return manifest

    async def _check_tag(self, site: Site, repository: Repository, tag: Tag) -> StoredManifest:
        head = await site.upstream.head_manifest(repository.name, tag)
        manifest = self._find(repository, head.digest) if head.digest is not None else None
        if manifest is None:
            return await self._fetch_tag(site, repository, tag)
        await self._keep_tag(repository, tag, manifest.digest)
        return manifest

    async def _fetch_tag(self, site: Site, repository: Repository, tag: Tag) -> StoredManifest:
        fetched = await site.upstream.get_manifest(repository.name, tag)
        manifest = StoredManifest(fetched.digest, fetched.media_type, fetched.content)
        await self._keep(repository, manifest)
        await self._keep_tag(repository, tag, manifest.digest)
        return manifest

    async def _pull_digest(
        self, site: Site, repository: Repository, digest: Digest
    ) -> Answer[StoredManifest]:
        manifest = self._find(repository, digest) or await self._adopt(repository, digest)
        if manifest is not None:
            return Answer(manifest, Cache.HIT, until=math.inf)
        ask = self._by_digest.join(
            (repository, digest), lambda: self._ask_for_digest(site, repository, digest)
        )
        return Answer(await ask, Cache.MISS)

    async def _adopt(self, repository: Repository, digest: Digest) -> StoredManifest | None:
        """Let the repository hold, blobs included, what its own index names and is held for another."""
        manifest = found(lambda: self._index.child(repository, digest))
        if manifest is not None:
            await self._keep(repository, manifest)
        return manifest

    async def _ask_for_digest(self, site: Site, repository: Repository, digest: Digest) -> StoredManifest:
        """Let the upstream confirm a manifest that is held for another repository; else fetch it."""
        manifest = found(lambda: self._index.manifest_anywhere(digest))
        if manifest is not None:
            head = await site.upstream.head_manifest(repository.name, digest)
            manifest = StoredManifest(digest, head.media_type or manifest.media_type, manifest.content)
        else:
            fetched = await site.upstream.get_manifest(repository.name, digest)
            manifest = StoredManifest(fetched.digest, fetched.media_type, fetched.content)
        await self._keep(repository, manifest)
        return manifest

    def _tag(self, repository: Repository, tag: Tag) -> TagRecord | None:
        record = self._tags.get((repository, tag))
        if record is None:
            record = found(lambda: self._index.tag(repository, tag.name))
            if record is not None:
                self._tags.put((repository, tag), record)
        return record

    def _find(self, repository: Repository, digest: Digest) -> StoredManifest | None:
        manifest = self._manifests.get((repository, digest))
        if (
            manifest is None
            and (manifest := found(lambda: self._index.manifest(repository, digest))) is not None
        ):
            self._manifests.put((repository, digest), manifest)
        return manifest

    async def _keep(self, repository: Repository, manifest: StoredManifest) -> None:
        """Keep a manifest at hand and on disk; one that the disk has no room for is served all the same."""
        self._manifests.put((repository, manifest.digest), manifest)
        await self._noted(repository, manifest.digest, self._record_manifest(repository, manifest))

    async def _keep_tag(self, repository: Repository, tag: Tag, digest: Digest) -> None:
        now, before = self._clock.now(), self._tag(repository, tag)
        if before is not None and before.digest != digest:
            # What it meant before may seem fresh, by a clock that was set or where a refresh took long.
            self._changes += 1
        self._tags.put((repository, tag), TagRecord(digest, now))
        await self._noted(repository, tag, self._index.record_tag(repository, tag.name, digest, now))

    async def _noted(self, repository: Repository, reference: Reference, recording: Awaitable[None]) -> bool:
        """Tell whether something could be recorded; what could not is noted, and told the first time."""
        is_told = (repository, reference) in self._unrecorded
        self._unrecorded.pop((repository, reference), None)
        try:
            await recording
        except MetadataFailed as failure:
            if not is_told and len(self._unrecorded) >= _MOST_UNRECORDED:
                del self._unrecorded[next(iter(self._unrecorded))]
            self._unrecorded[repository, reference] = None
            if not is_told:
                event = "tag_not_recorded" if isinstance(reference, Tag) else "manifest_not_recorded"
                log.warning(event, repository=str(repository), reason=str(failure))
            return False
        return True

    async def _record(self, repository: Repository, reference: Reference) -> None:
        """Record what is at hand; what was forgotten meanwhile is not."""
        if isinstance(reference, Tag):
            record = self._tags.get((repository, reference))
            if record is not None:
                await self._index.record_tag(repository, reference.name, record.digest, record.checked_at)
        elif (manifest := self._manifests.get((repository, reference))) is not None:
            await self._record_manifest(repository, manifest)

    async def _record_manifest(self, repository: Repository, manifest: StoredManifest) -> None:
        links = await _links_of(manifest.content)
        await self._index.record_manifest(repository, manifest, links, self._clock.now())

    async def _forget_tag(self, repository: Repository, tag: Tag) -> None:
        self._tags.forget((repository, tag))
        try:
            await self._index.forget_tag(repository, tag.name)
        except MetadataFailed as failure:
            log.warning("tag_not_forgotten", repository=str(repository), reason=str(failure))
        else:
            log.info("tag_forgotten", repository=str(repository), tag=tag.name, reason="deleted upstream")


async def _links_of(content: bytes) -> ManifestLinks:
    """Read links; what is large enough to be felt is not read in the event loop."""
    return await asyncio.to_thread(read_links, content) if len(content) > _LARGE else read_links(content)


def _weigh(manifest: StoredManifest) -> int:
    return len(manifest.content) + _OVERHEAD
