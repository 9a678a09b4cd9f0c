"""What settings mean to the policies."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import asdict

from entrepot.config.schema import Settings, UpstreamSettings
from entrepot.policy.access import PullRules
from entrepot.policy.freshness import Freshness, TagRules
from entrepot.policy.proxies import TrustedProxies, parse_network
from entrepot.policy.retention import Pin, Retention, RetentionRules

__all__ = ["pull_rules", "retention_rules", "tag_rules", "trusted_proxies"]


def pull_rules(settings: UpstreamSettings) -> PullRules:
    return PullRules(settings.repositories.allow, settings.repositories.deny)


def tag_rules(settings: UpstreamSettings) -> TagRules:
    values = asdict(settings.freshness)
    immutable_tags = values.pop("immutable_tags")
    base = Freshness(**values, follow_deletions=settings.retention.follow_deletions)
    rules = tuple((rule.tags, base.overridden(_limits(rule, "tags"))) for rule in settings.tag_rules)
    return TagRules(base, rules, immutable_tags)


def retention_rules(settings: UpstreamSettings) -> RetentionRules:
    base = Retention(settings.retention.keep_for, settings.retention.expire_after)
    rules = tuple(
        (rule.repositories, base.overridden(_limits(rule, "repositories")))
        for rule in settings.retention_rules
    )
    return RetentionRules(base, rules, tuple(map(Pin.parse, settings.retention.pin)))


def trusted_proxies(settings: Settings) -> TrustedProxies:
    return TrustedProxies(map(parse_network, settings.trusted_proxies))


def _limits(rule: Struct, pattern: str) -> dict[str, float | None]:
    """Return what a rule says but for whom it is."""
    return {name: value for name, value in asdict(rule).items() if name != pattern}
