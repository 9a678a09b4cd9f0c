"""Decides how long content is kept, and what eviction leaves alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import replace

from entrepot.oci.reference import Repository
from entrepot.policy.routing import DOCKER_HUB
from entrepot.policy.wanted import is_pattern

__all__ = [
    "ContentFacts",
    "Expired",
    "Holder",
    "InvalidPin",
    "Keep",
    "Pin",
    "Pinned",
    "Reason",
    "Retention",
    "RetentionRules",
    "Verdict",
    "decide",
    "likely_pin",
    "pin_of",
    "shortest",
]


class InvalidPin(ValueError):
    """The text is no pattern of what to pin."""


class Retention(Struct, frozen=True):
    """How long content is kept, in seconds; ``None`` is without end.

    ``keep_for``: since its last use; ``expire_after``: since it was fetched, used or not.
    """

    keep_for: float | None = None
    expire_after: float | None = None

    def overridden(self, values: Mapping[str, Any]) -> Retention:
        """Return a copy with those fields replaced whose value is not ``None``."""
        return replace(self, **{name: value for name, value in values.items() if value is not None})


class Pin(Struct, frozen=True):
    """Shell patterns of repositories and, where given, of those of their tags that count."""

    repositories: str
    tags: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``repository`` or ``repository:tag``; raise ``InvalidPin`` for all else."""
        repositories, colon, tags = text.partition(":")
        is_whole = bool(repositories) and bool(tags) == bool(colon)
        if not is_whole or ":" in tags or "@" in text or any(map(str.isspace, text)):
            raise InvalidPin(text)
        return cls(repositories, tags or None)

    def __str__(self) -> str:
        return self.repositories if self.tags is None else f"{self.repositories}:{self.tags}"

    def covers(self, holder: Holder) -> bool:
        if not fnmatchcase(holder.repository.name, self.repositories):
            return False
        return self.tags is None or any(fnmatchcase(tag, self.tags) for tag in holder.tags)


class RetentionRules(Struct, frozen=True):
    """The rules of one upstream: the first whose shell pattern matches a repository, else ``base``."""

    base: Retention = Retention()
    rules: tuple[tuple[str, Retention], ...] = ()
    pins: tuple[Pin, ...] = ()

    def retention(self, name: str) -> Retention:
        return next((limits for pattern, limits in self.rules if fnmatchcase(name, pattern)), self.base)

    def pin(self, holder: Holder) -> Pin | None:
        """Return the pin that covers what the holder holds, if there is one."""
        return next((pin for pin in self.pins if pin.covers(holder)), None)


class Holder(Struct, frozen=True, gc=False):
    """A repository that holds content, with those of its tags that lead to it, through whatever manifests."""

    repository: Repository
    tags: tuple[str, ...] = ()


class ContentFacts(Struct, frozen=True):
    """What is known of a blob or a manifest; times are epoch seconds."""

    fetched_at: float
    last_used_at: float
    holders: tuple[Holder, ...] = ()


class Reason(StrEnum):
    """Why content is kept no longer."""

    UNUSED = "unused"
    OLD = "old"


class Keep(Struct, frozen=True, gc=False):
    """No rule sends it away; it may still be evicted to make room."""


class Pinned(Struct, frozen=True):
    """Not to be evicted either."""

    pin: Pin


class Expired(Struct, frozen=True, gc=False):
    """To be removed."""

    reason: Reason


Verdict = Keep | Pinned | Expired

_NO_RULES = RetentionRules()


def decide(facts: ContentFacts, rules: Mapping[str, RetentionRules], now: float) -> Verdict:
    """Judge by epoch seconds and the rules of each upstream.

    Whoever holds content may keep it: it expires only where every holder's rule says so.  What
    nobody is known to hold, and what an upstream without rules holds, does not expire.  An age
    below zero means that the clock was set back, and is no age to expire at.
    """
    if (pin := pin_of(facts.holders, rules)) is not None:
        return Pinned(pin)
    reasons = [_overdue(facts, _limits(holder, rules), now) for holder in facts.holders]
    reason = None if None in reasons else next(iter(reasons), None)
    return Keep() if reason is None else Expired(reason)


def pin_of(holders: Iterable[Holder], rules: Mapping[str, RetentionRules]) -> Pin | None:
    """Return a pin that covers content for one of its holders, if there is any."""
    pins = (rules.get(holder.repository.upstream, _NO_RULES).pin(holder) for holder in holders)
    return next((pin for pin in pins if pin is not None), None)


def likely_pin(upstream: str, pin: Pin) -> Pin:
    """Return the pin that is likely meant by one that can cover nothing, else the pin itself."""
    is_host = "." in upstream or ":" in upstream
    name = pin.repositories.removeprefix(f"{upstream}/") if is_host else pin.repositories
    if upstream == DOCKER_HUB and "/" not in name and not is_pattern(name):
        name = f"library/{name}"
    if "[" not in name:  # Within brackets the case may matter: [!A-Z] matches all names there are.
        name = name.lower()
    return replace(pin, repositories=name)


def shortest(rules: Iterable[RetentionRules]) -> Retention:
    """Return the least of each limit: nothing expires sooner."""
    limits = [limit for known in rules for limit in (known.base, *(limit for _, limit in known.rules))]
    return Retention(
        min((limit.keep_for for limit in limits if limit.keep_for is not None), default=None),
        min((limit.expire_after for limit in limits if limit.expire_after is not None), default=None),
    )


def _limits(holder: Holder, rules: Mapping[str, RetentionRules]) -> Retention:
    return rules.get(holder.repository.upstream, _NO_RULES).retention(holder.repository.name)


def _overdue(facts: ContentFacts, limits: Retention, now: float) -> Reason | None:
    if limits.keep_for is not None and now - facts.last_used_at >= limits.keep_for:
        return Reason.UNUSED
    if limits.expire_after is not None and now - facts.fetched_at >= limits.expire_after:
        return Reason.OLD
    return None
