from __future__ import annotations

import pytest

from entrepot.oci.reference import Repository
from entrepot.policy.retention import (
    ContentFacts,
    Expired,
    Holder,
    InvalidPin,
    Keep,
    Pin,
    Pinned,
    Reason,
    Retention,
    RetentionRules,
    Verdict,
    decide,
    likely_pin,
    shortest,
)

DAY = 86400.0
NOW = 1000 * DAY

RULES = {
    "docker.io": RetentionRules(
        Retention(keep_for=30 * DAY, expire_after=365 * DAY),
        (
            ("library/*", Retention(keep_for=90 * DAY, expire_after=365 * DAY)),
            ("*/nightly", Retention(keep_for=DAY)),
        ),
        (Pin("library/postgres", "16*"), Pin("platform/*")),
    ),
    "ghcr.io": RetentionRules(),
}


def held_by(*holders: str | tuple[str, str], unused: float = 0.0, age: float = 0.0) -> ContentFacts:
    """Describe content by its holders, ``upstream/name`` with or without a tag, and by days."""
    parts = [(holder, ()) if isinstance(holder, str) else (holder[0], holder[1:]) for holder in holders]
    found = tuple(Holder(Repository(*path.split("/", 1)), tags) for path, tags in parts)
    return ContentFacts(NOW - age * DAY, NOW - unused * DAY, found)


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        pytest.param(held_by("docker.io/a/b", unused=29.9), Keep(), id="used-not-long-ago"),
        pytest.param(held_by("docker.io/a/b", unused=30), Expired(Reason.UNUSED), id="not-used-for-long"),
        pytest.param(held_by("docker.io/a/b", age=365), Expired(Reason.OLD), id="fetched-long-ago-though-used"),
        pytest.param(held_by("docker.io/library/a", unused=30), Keep(), id="the-rule-keeps-it-longer"),
        pytest.param(held_by("docker.io/library/a", unused=90), Expired(Reason.UNUSED), id="the-rule-ends-too"),
        pytest.param(held_by("docker.io/library/nightly", unused=2), Keep(), id="the-first-rule-counts"),
        pytest.param(held_by("docker.io/a/nightly", age=999), Keep(), id="a-rule-stands-for-all-limits"),
        pytest.param(held_by("ghcr.io/a/b", unused=999, age=999), Keep(), id="no-limits"),
        pytest.param(held_by("gone.example/a", unused=999, age=999), Keep(), id="no-rules"),
        pytest.param(held_by(unused=999, age=999), Keep(), id="nobody-holds-it"),
        pytest.param(held_by("docker.io/a/b", unused=-999, age=-999), Keep(), id="the-clock-was-set-back"),
    ],
)  # fmt: skip
def test_content_is_kept_for_as_long_as_its_holders_rule_says(facts: ContentFacts, verdict: Verdict) -> None:
    assert decide(facts, RULES, NOW) == verdict


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        (["docker.io/c/d"], Expired(Reason.UNUSED)),
        (["docker.io/library/a"], Keep()),
        (["ghcr.io/a/b"], Keep()),
        (["docker.io/platform/a"], Pinned(Pin("platform/*"))),
        (["docker.io/library/a", "docker.io/platform/a"], Pinned(Pin("platform/*"))),
    ],
)
def test_of_several_holders_the_one_who_keeps_longest_counts(others: list[str], verdict: Verdict) -> None:
    assert decide(held_by("docker.io/a/b", *others, unused=31), RULES, NOW) == verdict


@pytest.mark.parametrize(
    ("holder", "is_pinned"),
    [
        (("docker.io/library/postgres", "16"), True),
        (("docker.io/library/postgres", "16.4-alpine"), True),
        (("docker.io/library/postgres", "15"), False),
        ("docker.io/library/postgres", False),
        (("docker.io/library/mysql", "16"), False),
        ("docker.io/platform/a/b", True),
        (("docker.io/platform/a", "any"), True),
        ("ghcr.io/platform/a", False),
    ],
)
def test_pins_are_patterns_of_one_upstreams_repositories_and_tags(
    holder: str | tuple[str, str], *, is_pinned: bool
) -> None:
    verdict = decide(held_by(holder, unused=999, age=999), RULES, NOW)
    assert isinstance(verdict, Pinned) is is_pinned


@pytest.mark.parametrize(
    ("text", "pin"),
    [
        ("library/postgres", Pin("library/postgres")),
        ("library/postgres:16*", Pin("library/postgres", "16*")),
        ("*", Pin("*")),
        ("*:v[0-9]", Pin("*", "v[0-9]")),
    ],
)
def test_a_pin_is_written_as_repository_or_with_a_tag(text: str, pin: Pin) -> None:
    assert Pin.parse(text) == pin
    assert str(pin) == text


@pytest.mark.parametrize("text", ["", ":", ":16", "a:", "a:b:c", "a b", "a@sha256:0", "a:\t"])
def test_what_is_no_pin_is_refused(text: str) -> None:
    with pytest.raises(InvalidPin):
        Pin.parse(text)


@pytest.mark.parametrize(
    ("upstream", "text", "meant"),
    [
        ("docker.io", "postgres:16*", "library/postgres:16*"),
        ("docker.io", "docker.io/postgres", "library/postgres"),
        ("docker.io", "post*", "post*"),
        ("docker.io", "library/postgres", "library/postgres"),
        ("ghcr.io", "postgres", "postgres"),
        ("ghcr.io", "ghcr.io/a/b:1", "a/b:1"),
        ("team", "team/a", "team/a"),
    ],
)
def test_a_pin_by_a_name_that_no_repository_can_have_means_another(
    upstream: str, text: str, meant: str
) -> None:
    assert likely_pin(upstream, Pin.parse(text)) == Pin.parse(meant)


def test_nothing_expires_sooner_than_the_least_of_all_limits() -> None:
    assert shortest(RULES.values()) == Retention(DAY, 365 * DAY)
    assert shortest([RetentionRules()]) == shortest([]) == Retention(None, None)
    assert shortest([RetentionRules(Retention(expire_after=5))]) == Retention(None, 5)
