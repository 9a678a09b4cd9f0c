"""Removes content that no holder's rule keeps, and tells eviction what is pinned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec.structs import replace

from entrepot.engine.eviction import Tally
from entrepot.engine.sites import Sites
from entrepot.errors import MetadataFailed
from entrepot.oci.digest import Digest
from entrepot.policy.retention import (
    ContentFacts,
    Expired,
    Reason,
    RetentionRules,
    decide,
    pin_of,
    shortest,
)
from entrepot.ports.clock import Clock
from entrepot.ports.jobs import Report
from entrepot.ports.retention import Content, Pins, RetentionIndex
from entrepot.telemetry.log import log

__all__ = ["Expiry"]

_PAGE = 100
_PAUSE = 0.05
_LONGEST_REST = 600.0
_REST_SHARE = 10

Page = Callable[[float, Content | None, int], Awaitable[list[Content]]]
Remove = Callable[[Sequence[Digest], str], Awaitable[Tally]]


class Expiry:
    """``remove`` is told what to remove and why; ``flush_uses`` records uses that are noted so far."""

    def __init__(
        self,
        sites: Sites,
        index: RetentionIndex,
        pins: Pins,
        clock: Clock,
        *,
        remove: Remove,
        flush_uses: Callable[[], Awaitable[object]],
    ) -> None:
        self._sites = sites
        self._index = index
        self._pins = pins
        self._clock = clock
        self._remove = remove
        self._flush_uses = flush_uses
        self._ended_at: float | None = None

    async def run_when_due(self) -> Report | None:
        """Look for what has expired, so often that nothing outlives its limit by much more than a tenth."""
        rest = self._wait()
        return await self.run() if rest is not None and rest <= 0 else None

    def interval(self) -> float | None:
        """Tell after how many seconds it looks again; ``None`` where nothing ever expires."""
        limits = shortest(self._sites.retention().values())
        least = min(
            (limit for limit in (limits.keep_for, limits.expire_after) if limit is not None), default=None
        )
        return None if least is None else min(least / _REST_SHARE, _LONGEST_REST)

    def due_at(self) -> float | None:
        """Tell when it looks again, in epoch seconds."""
        rest = self._wait()
        return None if rest is None else self._clock.now() + max(0.0, rest)

    async def run(self) -> Report:
        """Remove what has expired: after every hundred candidates, some milliseconds of work, rest for fifty.

        What fails is left to the next run.
        """
        limits, now = shortest(self._sites.retention().values()), self._clock.now()
        failure = None
        try:
            await self._flush_uses()
            if limits.keep_for is not None:
                failure = await self._sweep(self._index.unused_since, now - limits.keep_for)
            if limits.expire_after is not None:
                failure = await self._sweep(self._index.fetched_before, now - limits.expire_after) or failure
        except MetadataFailed as failed:
            failure = str(failed)
            log.warning("content_not_expired", reason=failure)
        finally:
            self._ended_at = self._clock.monotonic()
        return Report(failure=failure)

    async def pinned(self, digests: Sequence[Digest]) -> set[Digest]:
        """Return those of the digests that a pin covers; raises ``MetadataFailed``."""
        rules = self._rules()
        if not any(known.pins for known in rules.values()):
            return set()
        holders = await self._index.holders_of(digests, with_tags=_name_tags(rules))
        return {digest for digest, held in holders.items() if pin_of(held, rules) is not None}

    def _wait(self) -> float | None:
        """Return the seconds until it is due; ``None`` where it never is."""
        interval = self.interval()
        if interval is None:
            return None
        return 0.0 if self._ended_at is None else self._ended_at + interval - self._clock.monotonic()

    async def _sweep(self, page: Page, moment: float) -> str | None:
        """Go through all pages; tell why something could not be removed, the last time that was so."""
        failure, last = None, None
        while contents := await page(moment, last, _PAGE):
            for reason, digests in (await self._expired(contents)).items():
                removed = await self._remove(digests, reason)
                failure = removed.failure or failure
            last = contents[-1]
            await self._clock.sleep(_PAUSE)
        return failure

    async def _expired(self, contents: Sequence[Content]) -> Mapping[Reason, list[Digest]]:
        rules, digests = self._rules(), [content.digest for content in contents]
        holders = await self._index.holders_of(digests, with_tags=_name_tags(rules))
        expired = defaultdict[Reason, list[Digest]](list)
        for content in contents:
            held = tuple(holders.get(content.digest, ()))
            facts = ContentFacts(content.fetched_at, content.last_used_at, held)
            verdict = decide(facts, rules, self._clock.now())
            if isinstance(verdict, Expired):
                expired[verdict.reason].append(content.digest)
        return expired

    def _rules(self) -> dict[str, RetentionRules]:
        """Return the rules of the settings, with the pins that were set beside them."""
        rules = self._sites.retention()
        for known in self._pins.pins():
            before = rules.get(known.upstream, RetentionRules())
            rules[known.upstream] = replace(before, pins=(*before.pins, known.pin))
        return rules


def _name_tags(rules: dict[str, RetentionRules]) -> bool:
    return any(pin.tags is not None for known in rules.values() for pin in known.pins)
