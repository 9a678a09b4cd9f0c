"""The upstreams of this cache, each with the rules that hold for it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from entrepot.errors import Refused, UnknownUpstream
from entrepot.oci.reference import Repository
from entrepot.policy.access import PullRules, may_pull
from entrepot.policy.freshness import TagRules
from entrepot.policy.retention import RetentionRules
from entrepot.policy.routing import UpstreamTable
from entrepot.policy.spelling import did_you_mean
from entrepot.ports.upstream import Upstream

__all__ = ["Site", "Sites"]


class Site(Struct, frozen=True):
    upstream: Upstream
    tags: TagRules
    pulls: PullRules
    retention: RetentionRules = field(default_factory=RetentionRules)


class Sites:
    """Replaced as a whole when the settings change; requests under way keep the site they began with."""

    def __init__(self, table: UpstreamTable, sites: Mapping[str, Site]) -> None:
        self.table = table
        self.generation = 0
        """Grows when they are replaced."""
        self._sites = sites

    def replace(self, table: UpstreamTable, sites: Mapping[str, Site]) -> None:
        self.table = table
        self.generation += 1
        self._sites = sites

    def named(self, upstream: str) -> Site:
        """Find the site of an upstream by the name that it is configured by."""
        site = self._sites.get(upstream)
        if site is None:
            raise self.unknown(upstream)
        return site

    def unknown(self, host: str) -> UnknownUpstream:
        """Say that a host is none of the upstreams, and which one was meant if that is likely."""
        return UnknownUpstream(f"{host} is not an upstream of this cache{did_you_mean(host, self._sites)}")

    def names(self) -> list[str]:
        """Return the names of all upstreams, in the order of the configuration."""
        return list(self._sites)

    def retention(self) -> dict[str, RetentionRules]:
        return {name: site.retention for name, site in self._sites.items()}

    def of(self, repository: Repository) -> Site:
        """Find the site of a repository; raise ``Refused`` where a rule forbids to pull it."""
        site = self.named(repository.upstream)
        if not may_pull(site.pulls, repository.name):
            raise Refused(
                f"{repository} may not be pulled through this cache:"
                f" see upstreams.{repository.upstream}.repositories in its configuration"
            )
        return site
