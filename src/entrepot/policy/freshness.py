"""Decides when a cached tag may be served and when the upstream must be asked first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, assert_never

from msgspec import Struct
from msgspec.structs import replace

from entrepot.policy.breaker import Health

__all__ = [
    "Ask",
    "Freshness",
    "RecentlyRefused",
    "Revalidate",
    "Serve",
    "ServeAndRefresh",
    "ServeStale",
    "TagFacts",
    "TagRules",
    "Verdict",
    "decide",
    "fresh_until",
]


class Freshness(Struct, frozen=True):
    """How long a tag is believed; all in seconds, counted from when the upstream was last asked.

    ``follow_deletions``: what the upstream says it does not have is not served from here either.
    """

    fresh_for: float = 30.0
    stale_while_revalidate: float = 0.0
    revalidate_within: float = 2.0
    stale_if_error: float = 30 * 86400.0
    not_found_for: float = 10.0
    follow_deletions: bool = False

    def overridden(self, values: Mapping[str, Any]) -> Freshness:
        """Return a copy with those fields replaced whose value is not ``None``."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})


class TagRules(Struct, frozen=True):
    """How long each tag is believed: the first rule whose shell pattern matches, else ``base``."""

    base: Freshness
    rules: tuple[tuple[str, Freshness], ...] = ()
    immutable_tags: tuple[str, ...] = ()

    def freshness(self, tag: str) -> Freshness:
        return next((limits for pattern, limits in self.rules if fnmatchcase(tag, pattern)), self.base)

    def is_immutable(self, tag: str) -> bool:
        return any(fnmatchcase(tag, pattern) for pattern in self.immutable_tags)


class TagFacts(Struct, frozen=True, gc=False):
    """What is known of a tag.

    ``checked_at``: when the upstream last said what the cached tag means; ``None`` if it is
    not cached.  ``refused_at``: when it last said that the tag may not be had or, with ``is_gone``,
    that there is none.
    """

    checked_at: float | None = None
    refused_at: float | None = None
    is_gone: bool = False
    immutable: bool = False
    health: Health = Health.UP


class Serve(Struct, frozen=True, gc=False):
    """Answer from the cache; ask nobody."""


class ServeStale(Struct, frozen=True, gc=False):
    """Answer from the cache and say that it may be out of date; ask nobody."""

    reason: str


class ServeAndRefresh(Struct, frozen=True, gc=False):
    """Answer from the cache now; ask the upstream behind."""


class Revalidate(Struct, frozen=True, gc=False):
    """Ask the upstream first; answer from the cache if it fails or has not answered ``within`` seconds."""

    within: float


class Ask(Struct, frozen=True, gc=False):
    """Ask the upstream; there is nothing to fall back on."""


class RecentlyRefused(Struct, frozen=True, gc=False):
    """Refuse as the upstream did a moment ago; ask nobody: there is nothing to fall back on."""


Verdict = Serve | ServeStale | ServeAndRefresh | Revalidate | Ask | RecentlyRefused


def decide(facts: TagFacts, limits: Freshness, now: float) -> Verdict:
    """Judge by epoch seconds.

    An age below zero means that the clock was set back.  Such a tag is not fresh, or it
    would be for as long as the clock lags; but it is still there to fall back on.  So is one
    that the upstream refuses.  Deleting there deletes nothing here, however old the tag is,
    unless deletions are followed.
    """
    is_refused = _is_refused(facts, limits, now)
    is_gone = is_refused and facts.is_gone
    if facts.checked_at is None or (is_gone and limits.follow_deletions):
        return RecentlyRefused() if is_refused else Ask()
    age = now - facts.checked_at
    if facts.immutable or (0 <= age < limits.fresh_for and not is_refused):
        return Serve()
    if is_gone:
        return ServeStale("the upstream does not have it any more")
    refreshable = limits.fresh_for + limits.stale_while_revalidate
    if age >= max(refreshable, limits.stale_if_error):
        return RecentlyRefused() if is_refused else Ask()
    if is_refused:
        return ServeStale("the upstream refused it a moment ago")
    return _judge_stale(facts.health, limits, is_refreshable=0 <= age < refreshable)


def fresh_until(checked_at: float, limits: Freshness, *, immutable: bool) -> float:
    """Return until when ``decide`` says ``Serve`` of a tag that was checked then, in epoch seconds."""
    return math.inf if immutable else checked_at + limits.fresh_for


def _is_refused(facts: TagFacts, limits: Freshness, now: float) -> bool:
    """Tell whether the newest word of the upstream is a refusal that is still believed.

    A check that lies ahead is of a clock that was set back since, and no newer word.
    """
    if facts.refused_at is None:
        return False
    if facts.checked_at is not None and facts.refused_at < facts.checked_at <= now:
        return False
    return 0 <= now - facts.refused_at < limits.not_found_for


def _judge_stale(health: Health, limits: Freshness, *, is_refreshable: bool) -> Verdict:
    match health:
        case Health.DOWN:
            return ServeStale("the upstream is failing")
        case Health.PROBING:
            return ServeAndRefresh()
        case Health.UP:
            return ServeAndRefresh() if is_refreshable else Revalidate(limits.revalidate_within)
        case _:
            assert_never(health)
