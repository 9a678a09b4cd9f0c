"""Settings, as the policies read them."""

from __future__ import annotations

from entrepot.config.rules import pull_rules, retention_rules, tag_rules
from entrepot.config.schema import (
    FreshnessSettings,
    RepositoryRules,
    RetentionRule,
    RetentionSettings,
    TagRule,
    UpstreamSettings,
)
from entrepot.config.units import Seconds
from entrepot.policy.access import PullRules
from entrepot.policy.freshness import Freshness, TagRules
from entrepot.policy.retention import Pin, Retention, RetentionRules


def test_the_defaults_of_the_settings_are_those_of_the_policies() -> None:
    settings = UpstreamSettings()
    assert pull_rules(settings) == PullRules()
    assert tag_rules(settings) == TagRules(Freshness())
    assert retention_rules(settings) == RetentionRules()


def test_patterns_of_repositories_decide_what_may_be_pulled() -> None:
    settings = UpstreamSettings(repositories=RepositoryRules(allow=("a/*",), deny=("a/b",)))
    assert pull_rules(settings) == PullRules(("a/*",), ("a/b",))


def test_a_rule_of_tags_replaces_what_it_names_of_freshness() -> None:
    settings = UpstreamSettings(
        freshness=FreshnessSettings(fresh_for=Seconds(1), immutable_tags=("v*",)),
        tag_rules=(TagRule(tags="nightly-*", not_found_for=Seconds(2)),),
        retention=RetentionSettings(follow_deletions=True),
    )
    base = Freshness(fresh_for=1, follow_deletions=True)
    rule = Freshness(fresh_for=1, not_found_for=2, follow_deletions=True)
    assert tag_rules(settings) == TagRules(base, (("nightly-*", rule),), ("v*",))


def test_a_rule_of_repositories_replaces_what_it_names_of_retention() -> None:
    settings = UpstreamSettings(
        retention=RetentionSettings(keep_for=Seconds(1), expire_after=Seconds(9), pin=("a", "b:1*")),
        retention_rules=(RetentionRule(repositories="a/*", keep_for=Seconds(5)),),
    )
    rules = (("a/*", Retention(keep_for=5, expire_after=9)),)
    expected = RetentionRules(Retention(keep_for=1, expire_after=9), rules, (Pin("a"), Pin("b", "1*")))
    assert retention_rules(settings) == expected
