"""Executes the verdicts of freshness: serve, refresh behind, or ask first with the cached to fall back on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from enum import StrEnum
from typing import Any, Generic, TypeVar, assert_never

from msgspec import Struct

from entrepot.engine.flights import Flights
from entrepot.engine.memory import Lru
from entrepot.errors import NotHere, RateLimited, Refused, UpstreamDown
from entrepot.policy.breaker import Health
from entrepot.policy.freshness import (
    Ask,
    Freshness,
    RefuseNotFound,
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

_REMEMBERED = 20_000


class Cache(StrEnum):
    """What the cache had to do with an answer."""

    HIT = "hit"
    STALE = "stale"
    REVALIDATED = "revalidated"
    MISS = "miss"


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
        self._refusals = Lru[Hashable, tuple[float, Exception]](_REMEMBERED)

    async def answer(self, question: Question[V]) -> Answer[V]:
        """Answer a question, from the cache where that is allowed.

        Raises what the upstream raised where nothing is cached to fall back on.
        """
        cached, now = question.cached, self._clock.now()
        refusal = self._recent_refusal(question, now)
        if cached is None:
            if refusal is not None:
                raise refusal
            return await self._ask(question)
        match decide(_facts(question, is_refused=refusal is not None), question.limits, now):
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
            case Ask() | RefuseNotFound():
                return await self._ask(question)
            case verdict:
                assert_never(verdict)

    async def close(self) -> None:
        await self._flights.close()

    async def _ask(self, question: Question[V]) -> Answer[V]:
        return Answer(await asyncio.shield(self._launch(question)), Cache.MISS)

    async def _revalidate(self, question: Question[V], cached: V, within: float) -> Answer[V]:
        flight = self._launch(question)
        done, _ = await asyncio.wait([flight], timeout=within)
        if not done:
            question.breaker.doubt()
            return self._stale(question, cached)
        try:
            return Answer(flight.result(), Cache.REVALIDATED)
        except (NotHere, Refused, RateLimited, UpstreamDown):
            return self._stale(question, cached)

    def _launch(self, question: Question[V]) -> asyncio.Task[V]:
        return self._flights.launch(question.key, lambda: self._learn(question))

    async def _learn(self, question: Question[V]) -> V:
        try:
            return await question.ask()
        except (NotHere, Refused) as refusal:
            self._refusals.put(question.key, (self._clock.now(), refusal))
            raise

    def _recent_refusal(self, question: Question[V], now: float) -> Exception | None:
        refused_at, refusal = self._refusals.get(question.key) or (0.0, None)
        return refusal if 0 <= now - refused_at < question.limits.not_found_for else None

    def _stale(self, question: Question[V], cached: V) -> Answer[V]:
        return Answer(cached, Cache.STALE, max(0.0, self._clock.now() - question.checked_at))


def _facts(question: Question[V], *, is_refused: bool) -> TagFacts:
    """Treat what was refused just now like an upstream that is down: deleting there deletes nothing here."""
    return TagFacts(
        checked_at=question.checked_at,
        immutable=question.immutable,
        health=Health.DOWN if is_refused else question.breaker.health(),
    )
