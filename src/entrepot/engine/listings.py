"""Lists: tags and referrers as the upstream tells them, and what is cached here."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable
from functools import partial
from typing import Any

import msgspec

from entrepot.engine.lookup import found
from entrepot.engine.revalidation import Answer, Cache, Question, Revalidation
from entrepot.engine.sites import Site, Sites
from entrepot.errors import MetadataFailed, NotHere, RateLimited, Refused, UpstreamDown
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
        """Return all tags, sorted; where they cannot be had, those whose manifests are cached.

        Raises what the upstream raised where there are none.
        """
        site = self._sites.of(repository)
        cached = found(lambda: self._listings.tags(repository))
        ask = partial(self._ask_tags, site, repository)
        try:
            answer = await self._answer(site, (repository, "tags"), cached, ask)
        except (NotHere, Refused, RateLimited, UpstreamDown):
            held = found(lambda: self._listings.cached_tags(repository))
            if held is None:
                raise
            answer = Answer(held.content, Cache.STALE, max(0.0, self._clock.now() - held.checked_at))
        return Answer(msgspec.json.decode(answer.value, type=list[str]), answer.cache, answer.age)

    async def referrers(self, repository: Repository, subject: Digest) -> Answer[bytes]:
        """Return an image index of all that refers to ``subject``."""
        site = self._sites.of(repository)
        cached = found(lambda: self._listings.referrers(repository, subject))
        ask = partial(self._ask_referrers, site, repository, subject)
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
