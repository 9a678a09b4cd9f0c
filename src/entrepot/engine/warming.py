"""Brings images into the cache without a client: manifests, and every blob of the platforms chosen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from enum import Enum, auto
from typing import TypeVar

from msgspec import Struct, field

from entrepot.engine.blobs import Blobs
from entrepot.engine.listings import Lists
from entrepot.engine.manifests import Manifests
from entrepot.engine.revalidation import Cache
from entrepot.engine.sites import Sites
from entrepot.errors import (
    EntrepotError,
    ManifestNotHere,
    NotHere,
    RateLimited,
    Refused,
    StoreFailed,
    UpstreamDown,
)
from entrepot.oci.descriptor import Descriptor
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks, read_links
from entrepot.oci.platform import Platform, takes
from entrepot.oci.reference import Reference, Repository, Tag
from entrepot.oci.referrers import attachment_tags, is_signature, read_referrers
from entrepot.policy.access import may_pull
from entrepot.policy.wanted import Wanted, choose_repositories, choose_tags, is_pattern
from entrepot.ports.clock import Clock
from entrepot.ports.metadata import StoredManifest

__all__ = ["Extent", "Image", "Tally", "Warming", "check_count", "spread"]

T = TypeVar("T")

_DEEPEST = 4
_MOST_IMAGES = 20_000
_MOST_PAUSES = 12
_FIRST_PAUSE = 60.0
_SHORTEST_PAUSE = 1.0
_LONGEST_PAUSE = 3600.0


class Image(Struct, frozen=True):
    repository: Repository
    reference: Reference

    def __str__(self) -> str:
        return f"{self.repository}{':' if isinstance(self.reference, Tag) else '@'}{self.reference}"


class Extent(Struct, frozen=True):
    """What of each image is brought, ``platforms`` none for all, and what besides: its ``referrers``."""

    platforms: tuple[Platform, ...] = ()
    referrers: bool = False
    only_signed: bool = False


class _Seek(Enum):
    """Where to look for what refers to a manifest."""

    NOWHERE = auto()
    LIST = auto()
    LIST_AND_TAGS = auto()


class Tally(Struct):
    """Bytes of the blobs that images need, as far as it is known: all, and those that are here."""

    size: int = 0
    done: int = 0
    coming: dict[Digest, int] = field(default_factory=dict)
    """Blobs that are being brought, and their sizes."""


class Warming:
    """All warms share ``at_once``: how many manifests and blobs are on their way for them.

    What an upstream counts as too many requests makes every warm leave it alone for a while: they can
    wait, and clients cannot.
    """

    def __init__(
        self, sites: Sites, manifests: Manifests, blobs: Blobs, lists: Lists, clock: Clock, *, at_once: int
    ) -> None:
        self._sites = sites
        self._manifests = manifests
        self._blobs = blobs
        self._lists = lists
        self._clock = clock
        self.at_once = at_once
        self._places = asyncio.Semaphore(at_once)
        self._rests: dict[str, float] = {}

    def rest(self, upstream: str) -> float:
        """Return for how many seconds an upstream is still left alone."""
        return max(0.0, self._rests.get(upstream, 0.0) - self._clock.monotonic())

    async def images(self, wanted: Wanted) -> list[Image]:
        """Find out which images are wanted; raise why that cannot be known."""
        if wanted.digest is not None:
            return [Image(Repository(wanted.upstream, wanted.repository), wanted.digest)]
        found: list[Image] = []
        for name in await self._repositories(wanted):
            repository = Repository(wanted.upstream, name)
            tags = await self._tags(repository, wanted) if wanted.needs_tags else wanted.tags
            found += [Image(repository, Tag(tag)) for tag in tags]
            check_count(found)
        return found

    async def bring(self, image: Image, extent: Extent, tally: Tally) -> bool:
        """Return when an image can be pulled without its upstream; raise why that will not be.

        ``False`` stands for one that nobody has signed, where only signed ones are wanted.
        """
        if extent.only_signed and not await self._is_signed(image):
            return False
        seek = _Seek.LIST_AND_TAGS if extent.referrers else _Seek.NOWHERE
        needed: set[Digest] = set()
        await self._bring(image, extent.platforms, tally, needed=needed, seek=seek)
        self._check_kept(needed)
        return True

    async def _bring(
        self,
        image: Image,
        platforms: Sequence[Platform],
        tally: Tally,
        *,
        needed: set[Digest],
        seek: _Seek,
        depth: int = 0,
    ) -> None:
        """Bring a manifest and all beneath it; note in ``needed`` the blobs."""
        manifest = await self._ask(image.repository.upstream, lambda: self._pull(image))
        links = await asyncio.to_thread(read_links, manifest.content)
        children = _chosen(image, links, platforms)
        # One blob may be named twice, but is brought once.
        blobs = {blob.digest: blob for blob in links.blobs}
        needed.update(blobs)
        tally.size += sum(blob.size or 0 for blob in blobs.values())
        failures = await spread(blobs.values(), lambda blob: self._keep(image, blob, tally), self.at_once)
        if depth < _DEEPEST:
            failures += await spread(
                [Image(image.repository, child.digest) for child in children],
                lambda child: self._bring(child, platforms, tally, needed=needed, seek=seek, depth=depth + 1),
                self.at_once,
            )
            # What refers to an attachment is not sought by tags: that costs requests for next to nothing.
            of_attached = _Seek.NOWHERE if seek is _Seek.NOWHERE else _Seek.LIST
            failures += await spread(
                await self._attached(image.repository, manifest.digest, seek),
                lambda attached: self._bring(
                    attached, (), tally, needed=needed, seek=of_attached, depth=depth + 1
                ),
                self.at_once,
            )
        if failures:
            raise failures[0]

    async def _attached(self, repository: Repository, subject: Digest, seek: _Seek) -> list[Image]:
        if seek is _Seek.NOWHERE:
            return []
        found = [Image(repository, digest) for digest, _ in await self._referrers(repository, subject)]
        if seek is _Seek.LIST_AND_TAGS:
            tagged = [Image(repository, Tag(tag)) for tag in attachment_tags(subject)]
            found += [image for image in tagged if await self._is_there(image)]
        return found

    async def _is_signed(self, image: Image) -> bool:
        """Tell whether there is a signature; whose it is, and whether it holds, is for clients to check."""
        repository = image.repository
        manifest = await self._ask(repository.upstream, lambda: self._pull(image))
        listed = await self._referrers(repository, manifest.digest)
        if any(is_signature(artifact_type) for _, artifact_type in listed):
            return True
        tags = filter(is_signature, attachment_tags(manifest.digest))
        return any([await self._is_there(Image(repository, Tag(tag))) for tag in tags])

    async def _referrers(self, repository: Repository, subject: Digest) -> list[tuple[Digest, str]]:
        answer = await self._ask(repository.upstream, lambda: self._lists.referrers(repository, subject))
        if answer.cache is Cache.STALE:
            raise UpstreamDown(f"{repository.upstream} does not tell what refers to {repository}@{subject}")
        return read_referrers(answer.value)

    async def _is_there(self, image: Image) -> bool:
        try:
            await self._ask(image.repository.upstream, lambda: self._pull(image))
        except NotHere:
            return False
        return True

    async def _keep(self, image: Image, blob: Descriptor, tally: Tally) -> None:
        size = blob.size or 0
        tally.coming[blob.digest] = size
        try:
            await self._ask(
                image.repository.upstream, lambda: self._blobs.keep(image.repository, blob.digest)
            )
        finally:
            tally.coming.pop(blob.digest, None)
        tally.done += size

    def _check_kept(self, needed: Iterable[Digest]) -> None:
        """In a full cache the last blob of an image may have taken the room of its first."""
        for digest in needed:
            if not self._blobs.is_stored(digest):
                raise StoreFailed(
                    f"{digest} was brought, and went again for want of room: raise cache.max_size, or unpin"
                    " something"
                )

    async def _pull(self, image: Image) -> StoredManifest:
        """Take no stale answer for the upstream's: where it fails, or is slow, that is to be known."""
        answer = await self._manifests.pull(image.repository, image.reference)
        if answer.cache is Cache.STALE and isinstance(image.reference, Tag):
            await self._manifests.refresh(image.repository, image.reference)
            answer = await self._manifests.pull(image.repository, image.reference)
        return answer.value

    async def _repositories(self, wanted: Wanted) -> list[str]:
        if not is_pattern(wanted.repository):
            return [wanted.repository]
        site = self._sites.named(wanted.upstream)
        try:
            names = await self._ask(wanted.upstream, site.upstream.repositories)
        except (NotHere, Refused) as failure:
            raise Refused(
                f"{wanted.upstream} does not list its repositories, which {wanted.repository} needs;"
                f" name them one by one: {failure}"
            ) from failure
        return [name for name in choose_repositories(wanted, names) if may_pull(site.pulls, name)]

    async def _tags(self, repository: Repository, wanted: Wanted) -> list[str]:
        upstream = self._sites.of(repository).upstream
        return choose_tags(wanted, await self._ask(wanted.upstream, lambda: upstream.tags(repository.name)))

    async def _ask(self, upstream: str, call: Callable[[], Awaitable[T]]) -> T:
        """Call when it is its turn, and again where the upstream wanted a pause first."""
        pauses = 0
        while True:
            await self._wait_for(upstream)
            try:
                async with self._places:
                    return await call()
            except RateLimited as failure:
                pauses += 1
                if pauses > _MOST_PAUSES:
                    raise
                self._leave_alone(upstream, failure.retry_after or _FIRST_PAUSE * 2 ** (pauses - 1))

    async def _wait_for(self, upstream: str) -> None:
        while (seconds := self.rest(upstream)) > 0:
            await self._clock.sleep(seconds)

    def _leave_alone(self, upstream: str, seconds: float) -> None:
        until = self._clock.monotonic() + min(max(seconds, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        self._rests[upstream] = max(until, self._rests.get(upstream, 0.0))


def check_count(images: Collection[Image]) -> None:
    """Raise ``Refused`` for more images than one warm may hold in memory."""
    if len(images) > _MOST_IMAGES:
        raise Refused(f"more than {_MOST_IMAGES} images are wanted: order them in parts")


async def spread(
    items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int
) -> list[EntrepotError]:
    """Work on all items, so many at a time; return the failures, none of which keeps others from theirs."""
    remaining = iter(items)
    failures: list[EntrepotError] = []

    async def go_on() -> None:
        for item in remaining:
            try:
                await work(item)
            except EntrepotError as failure:
                failures.append(failure)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            _ = group.create_task(go_on(), name="warm")
    return failures


def _chosen(image: Image, links: ManifestLinks, platforms: Sequence[Platform]) -> list[Descriptor]:
    """Choose the manifests of an index; raise ``ManifestNotHere`` where there is none to choose."""
    children = [child for child in links.children if takes(platforms, child.platform)]
    if links.children and not children:
        there = sorted({str(child.platform) for child in links.children})
        raise ManifestNotHere(
            f"{image} is not there for {', '.join(map(str, platforms))}, but for {', '.join(there)}"
        )
    return children
