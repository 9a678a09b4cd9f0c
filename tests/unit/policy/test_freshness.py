from __future__ import annotations

import pytest
from msgspec.structs import replace

from entrepot.policy.breaker import Health
from entrepot.policy.freshness import (
    Ask,
    Freshness,
    RecentlyRefused,
    Revalidate,
    Serve,
    ServeAndRefresh,
    ServeStale,
    TagFacts,
    TagRules,
    Verdict,
    decide,
)

LIMITS = Freshness(
    fresh_for=60, stale_while_revalidate=600, revalidate_within=2, stale_if_error=3600, not_found_for=10
)
STALE = ServeStale("the upstream is failing")
REFUSED = ServeStale("the upstream refused it a moment ago")
GONE = ServeStale("the upstream does not have it any more")
UP, PROBING, DOWN = Health.UP, Health.PROBING, Health.DOWN


@pytest.mark.parametrize(
    ("age", "health", "verdict"),
    [
        pytest.param(0, UP, Serve(), id="just-checked"),
        pytest.param(59.9, UP, Serve(), id="last-fresh-instant"),
        pytest.param(59.9, DOWN, Serve(), id="fresh-needs-no-upstream"),
        pytest.param(60, UP, ServeAndRefresh(), id="first-stale-instant"),
        pytest.param(60, PROBING, ServeAndRefresh(), id="stale-and-probing"),
        pytest.param(60, DOWN, STALE, id="stale-and-down"),
        pytest.param(660, UP, Revalidate(2), id="too-old-to-serve-at-once"),
        pytest.param(660, PROBING, ServeAndRefresh(), id="nobody-waits-for-a-probe"),
        pytest.param(660, DOWN, STALE, id="down-and-still-believed"),
        pytest.param(3599.9, DOWN, STALE, id="last-believed-instant"),
        pytest.param(3600, UP, Ask(), id="too-old-to-fall-back-on"),
        pytest.param(3600, PROBING, Ask(), id="too-old-and-probing"),
        pytest.param(3600, DOWN, Ask(), id="too-old-and-down"),
        pytest.param(-0.1, UP, Revalidate(2), id="clock-set-back-a-little"),
        pytest.param(-1e9, UP, Revalidate(2), id="clock-set-back-by-years"),
        pytest.param(-1e9, DOWN, STALE, id="clock-set-back-and-down"),
    ],
)
def test_the_verdict_follows_age_and_health(age: float, health: Health, verdict: Verdict) -> None:
    assert decide(TagFacts(checked_at=5e9, health=health), LIMITS, now=5e9 + age) == verdict


@pytest.mark.parametrize("health", Health)
@pytest.mark.parametrize("age", [0, 1e9, -1e9])
def test_an_immutable_tag_is_believed_for_ever(age: float, health: Health) -> None:
    assert decide(TagFacts(checked_at=5e9, immutable=True, health=health), LIMITS, now=5e9 + age) == Serve()


@pytest.mark.parametrize("health", Health)
@pytest.mark.parametrize("immutable", [True, False])
def test_what_is_not_cached_is_asked_for(*, immutable: bool, health: Health) -> None:
    assert decide(TagFacts(immutable=immutable, health=health), LIMITS, now=0) == Ask()


@pytest.mark.parametrize("health", Health)
@pytest.mark.parametrize(
    ("checked_at", "refused_at", "verdict"),
    [
        pytest.param(None, 9000, RecentlyRefused(), id="just-refused"),
        pytest.param(None, 8990.1, RecentlyRefused(), id="last-refused-instant"),
        pytest.param(None, 8990, Ask(), id="refusal-forgotten"),
        pytest.param(None, 9001, Ask(), id="clock-set-back"),
        pytest.param(8995, 8998, REFUSED, id="deleted-after-the-check"),
        pytest.param(8000, 8998, REFUSED, id="deleted-and-still-believed"),
        pytest.param(5401, 8998, REFUSED, id="deleted-and-believed-for-the-last-time"),
        pytest.param(5400, 8998, RecentlyRefused(), id="deleted-and-too-old-to-fall-back-on"),
        pytest.param(8998, 8995, Serve(), id="pushed-after-the-refusal"),
    ],
)
def test_a_refusal_is_believed_for_a_while_and_takes_nothing_away(
    checked_at: float | None, refused_at: float, health: Health, verdict: Verdict
) -> None:
    facts = TagFacts(checked_at=checked_at, refused_at=refused_at, health=health)
    assert decide(facts, LIMITS, now=9000) == verdict


def test_an_immutable_tag_outlives_a_refusal() -> None:
    assert decide(TagFacts(checked_at=0, refused_at=5, immutable=True), LIMITS, now=5) == Serve()


@pytest.mark.parametrize(
    "checked_at", [8995, 5400, 0, 1e9], ids=["young", "old", "ancient", "clock-set-back"]
)
def test_a_tag_that_was_deleted_upstream_is_served_for_ever(checked_at: float) -> None:
    facts = TagFacts(checked_at=checked_at, refused_at=max(checked_at, 8998), is_gone=True)
    assert decide(facts, LIMITS, now=max(checked_at, 9000)) == GONE


@pytest.mark.parametrize("checked_at", [8995, 5400], ids=["young", "old"])
def test_where_deletions_are_followed_a_deleted_tag_is_refused(checked_at: float) -> None:
    limits = replace(LIMITS, follow_deletions=True)
    facts = TagFacts(checked_at=checked_at, refused_at=8998, is_gone=True)
    assert decide(facts, limits, now=9000) == RecentlyRefused()


def test_where_deletions_are_followed_other_refusals_take_nothing_away() -> None:
    limits = replace(LIMITS, follow_deletions=True)
    assert decide(TagFacts(checked_at=8995, refused_at=8998), limits, now=9000) == REFUSED


def test_a_deletion_is_believed_no_longer_than_any_refusal() -> None:
    facts = TagFacts(checked_at=8000, refused_at=8990, is_gone=True)
    assert decide(facts, LIMITS, now=9000) == Revalidate(2)
    assert decide(facts, replace(LIMITS, follow_deletions=True), now=9000) == Revalidate(2)


def test_a_limit_of_zero_remembers_nothing() -> None:
    limits = Freshness(fresh_for=0, stale_while_revalidate=0, stale_if_error=0, not_found_for=0)
    assert decide(TagFacts(checked_at=0), limits, now=0) == Ask()
    assert decide(TagFacts(refused_at=0), limits, now=0) == Ask()


def test_stale_while_revalidate_may_outlast_stale_if_error() -> None:
    limits = Freshness(fresh_for=10, stale_while_revalidate=100, stale_if_error=50)
    assert decide(TagFacts(checked_at=0), limits, now=60) == ServeAndRefresh()
    assert decide(TagFacts(checked_at=0), limits, now=110) == Ask()


def test_the_first_rule_that_matches_a_tag_replaces_what_it_names() -> None:
    base = Freshness(fresh_for=30, not_found_for=7)
    nightly, rest = (base.overridden({"fresh_for": seconds, "not_found_for": None}) for seconds in (5, 1))
    rules = TagRules(base, (("nightly-*", nightly), ("*-[0-9]", rest)), immutable_tags=("v*.*.*", "release"))
    assert rules.freshness("latest") == base
    assert rules.freshness("nightly-1") == Freshness(fresh_for=5, not_found_for=7)
    assert rules.freshness("weekly-1") == Freshness(fresh_for=1, not_found_for=7)
    assert rules.freshness("Nightly-x") == base


@pytest.mark.parametrize(
    ("tag", "is_immutable"),
    [("v1.2.3", True), ("v1.2", False), ("release", True), ("Release", False), ("latest", False)],
)
def test_immutable_tags_are_told_by_pattern(tag: str, *, is_immutable: bool) -> None:
    assert TagRules(Freshness(), immutable_tags=("v*.*.*", "release")).is_immutable(tag) is is_immutable
