"""Executes the verdicts of freshness: serve, refresh behind, or ask first with the cached to fall back on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from enum import StrEnum
from typing import Any, Generic, TypeVar, assert_never

from msgspec import Struct

from entrepot.engine.flights import Flights
from entrepot.engine.refusals import Refusals
from entrepot.errors import NotHere, RateLimited, Refused, UpstreamDown
from entrepot.policy.freshness import (
    Ask,
    Freshness,
    RecentlyRefused,
    Revalidate,
    Serve,
    ServeAndRefresh,
    ServeStale,
    TagFacts,
    decide,
    fresh_until,
)
from entrepot.ports.clock import Clock
from entrepot.ports.upstream import Breaker

__all__ = ["Answer", "Cache", "Question", "Revalidation"]

V = TypeVar("V")


class Cache(StrEnum):
    """What the cache had to do with an answer."""

    HIT = "hit"
    STALE = "stale"
    REVALIDATED = "revalidated"
    MISS = "miss"
    NEGATIVE = "negative"


class Answer(Struct, Generic[V], frozen=True):
    """``age``: seconds since the upstream vouched for a stale value; ``None`` for any other.

    From ``since`` to before ``until``, in epoch seconds, the same question has the same answer.
    """

    value: V
    cache: Cache
    age: float | None = None
    since: float = 0.0
    until: float = 0.0


class Question(Struct, Generic[V], frozen=True):
    """A thing that may change upstream; ``ask`` asks there, and keeps what it learns."""

    key: Hashable
    cached: V | None
    checked_at: float
    immutable: bool
    limits: Freshness
    breaker: Breaker
    ask: Callable[[], Coroutine[Any, Any, V]]


class Revalidation(Generic[V]):
    """One flight per key; what an upstream refuses is not asked for again at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._flights = Flights[Hashable, V]()
        self._refusals = Refusals()

    async def answer(self, question: Question[V]) -> Answer[V]:
        """Answer a question, from the cache where that is allowed.

        Raises what the upstream raised where nothing is cached to fall back on.
        """
        cached, now = question.cached, self._clock.now()
        verdict = decide(self._facts(question), question.limits, now)
        if isinstance(verdict, RecentlyRefused):
            raise self._refusals.failure(question.key)
        if isinstance(verdict, Ask) or cached is None:
            return await self._ask(question, cached)
        match verdict:
            case Serve():
                until = fresh_until(question.checked_at, question.limits, immutable=question.immutable)
                return Answer(cached, Cache.HIT, since=question.checked_at, until=until)
            case ServeStale():
                return self._stale(question, cached)
            case ServeAndRefresh():
                _ = self._launch(question)
                return self._stale(question, cached)
            case Revalidate(within):
                return await self._revalidate(question, cached, within)
            case _:
                assert_never(verdict)

    async def refresh(self, question: Question[V]) -> V:
        """Ask now, whatever is cached; raise what the upstream raises."""
        return await asyncio.shield(self._launch(question))

    async def close(self) -> None:
        await self._flights.close()

    async def _ask(self, question: Question[V], cached: V | None) -> Answer[V]:
        """Fall back on what is cached, too old for all else, only where the upstream deleted its own."""
        try:
            return Answer(await asyncio.shield(self._launch(question)), Cache.MISS)
        except NotHere:
            if cached is None or question.limits.follow_deletions:
                raise
            return self._stale(question, cached)

    async def _revalidate(self, question: Question[V], cached: V, within: float) -> Answer[V]:
        flight = self._launch(question)
        done, _ = await asyncio.wait([flight], timeout=within)
        if not done:
            question.breaker.doubt(within)
            return self._stale(question, cached)
        try:
            return Answer(flight.result(), Cache.REVALIDATED)
        except NotHere:
            if question.limits.follow_deletions:
                raise
        except (Refused, RateLimited, UpstreamDown):
            pass
        return self._stale(question, cached)

    def _launch(self, question: Question[V]) -> asyncio.Task[V]:
        return self._flights.launch(question.key, lambda: self._learn(question))

    async def _learn(self, question: Question[V]) -> V:
        try:
            return await question.ask()
        except (NotHere, Refused) as refusal:
            self._refusals.note(question.key, refusal, self._clock.now(), question.limits.not_found_for)
            raise

    def _facts(self, question: Question[V]) -> TagFacts:
        return TagFacts(
            checked_at=question.checked_at if question.cached is not None else None,
            refused_at=self._refusals.refused_at(question.key),
            is_gone=self._refusals.is_gone(question.key),
            immutable=question.immutable,
            health=question.breaker.health(),
        )

    def _stale(self, question: Question[V], cached: V) -> Answer[V]:
        return Answer(cached, Cache.STALE, max(0.0, self._clock.now() - question.checked_at))
