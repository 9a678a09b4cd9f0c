"""Lists: tags and referrers as the upstream tells them, and what is cached here."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from typing import Any

import msgspec

from entrepot.engine.lookup import found
from entrepot.engine.revalidation import Answer, Question, Revalidation
from entrepot.engine.sites import Site, Sites
from entrepot.errors import MetadataFailed
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.ports.clock import Clock
from entrepot.ports.metadata import Listing, Listings
from entrepot.telemetry.log import log

__all__ = ["Lists"]


class Lists:
    """Each list is asked for once in its freshness window, and served as it was while the upstream fails."""

    def __init__(self, sites: Sites, listings: Listings, clock: Clock) -> None:
        self._sites = sites
        self._listings = listings
        self._clock = clock
        self._revalidation = Revalidation[bytes](clock)

    async def tags(self, repository: Repository) -> Answer[list[str]]:
        """Return all tags, sorted; those whose manifests are cached where nothing better is to be had."""
        site = self._sites.of(repository)
        cached = found(lambda: self._listings.tags(repository)) or self._cached_tags(repository)
        answer = await self._answer(
            site, (repository, "tags"), cached, lambda: self._ask_tags(site, repository)
        )
        return Answer(msgspec.json.decode(answer.value, type=list[str]), answer.cache, answer.age)

    async def referrers(self, repository: Repository, subject: Digest) -> Answer[bytes]:
        """Return an image index of all that refers to ``subject``."""
        site = self._sites.of(repository)
        cached = found(lambda: self._listings.referrers(repository, subject))
        ask = lambda: self._ask_referrers(site, repository, subject)  # noqa: E731 - a name for a long argument.
        return await self._answer(site, (repository, subject), cached, ask)

    def repositories(self, upstream: str | None, after: str, limit: int) -> list[str]:
        return found(lambda: self._listings.repositories(upstream, after, limit)) or []

    async def close(self) -> None:
        await self._revalidation.close()

    async def _answer(
        self, site: Site, key: Hashable, cached: Listing | None, ask: Callable[[], Coroutine[Any, Any, bytes]]
    ) -> Answer[bytes]:
        question = Question(
            key=key,
            cached=cached.content if cached is not None else None,
            checked_at=cached.checked_at if cached is not None else 0.0,
            immutable=False,
            limits=site.tags.base,
            breaker=site.upstream.breaker,
            ask=ask,
        )
        return await self._revalidation.answer(question)

    def _cached_tags(self, repository: Repository) -> Listing | None:
        """Make a list of what is here, as old as a list can be that is served at all."""
        tags = found(lambda: self._listings.cached_tags(repository))
        if not tags:
            return None
        return Listing(
            msgspec.json.encode(tags), self._clock.now() - self._sites.of(repository).tags.base.fresh_for
        )

    async def _ask_tags(self, site: Site, repository: Repository) -> bytes:
        content = msgspec.json.encode(sorted(set(await site.upstream.tags(repository.name))))
        await self._record(repository, self._listings.record_tags(repository, content, self._clock.now()))
        return content

    async def _ask_referrers(self, site: Site, repository: Repository, subject: Digest) -> bytes:
        content = await site.upstream.referrers(repository.name, subject)
        now = self._clock.now()
        await self._record(repository, self._listings.record_referrers(repository, subject, content, now))
        return content

    async def _record(self, repository: Repository, recording: Coroutine[Any, Any, None]) -> None:
        try:
            await recording
        except MetadataFailed as failure:
            log.warning("list_not_recorded", repository=str(repository), reason=str(failure))
