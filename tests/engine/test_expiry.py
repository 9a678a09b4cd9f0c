"""Which content rules remove, when it is looked for, and what pins protect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from entrepot.engine.eviction import Tally
from entrepot.engine.expiry import Expiry
from entrepot.engine.sites import Site, Sites
from entrepot.engine.uses import Uses
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.descriptor import Descriptor
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks
from entrepot.oci.reference import Repository
from entrepot.policy.access import PullRules
from entrepot.policy.freshness import Freshness, TagRules
from entrepot.policy.retention import Pin, Retention, RetentionRules
from entrepot.policy.routing import UpstreamTable
from entrepot.ports.metadata import StoredManifest
from entrepot.storage.pins import FilePins
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.scripted_upstream import ScriptedUpstream
from entrepot.testing.virtual_clock import VirtualClock

DEMO = Repository("docker.io", "library/demo")
OTHER = Repository("docker.io", "team/other")
ELSEWHERE = Repository("ghcr.io", "library/demo")
LAYER = Digest.of(b"layer")
DAY = 86400.0
MONTH = RetentionRules(Retention(keep_for=30 * DAY))
YEAR = RetentionRules(Retention(expire_after=365 * DAY))


@dataclass
class Cellar:
    metadata: SqlMetadata
    pins: FilePins
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(autojump=True))
    removed: dict[str, set[Digest]] = field(default_factory=dict)
    sweeps: int = 0
    failure: str | None = None

    def __post_init__(self) -> None:
        self.sites = Sites(UpstreamTable.build(["docker.io"], {}, "docker.io"), {})
        self.uses = Uses(self.metadata, self.clock)
        self.expiry = Expiry(
            self.sites, self.metadata, self.pins, self.clock, remove=self._remove, flush_uses=self._flush
        )

    def rule(self, **rules: RetentionRules) -> None:
        """Let rules hold for upstreams, each by the first word of its name."""
        named = {"docker": "docker.io", "ghcr": "ghcr.io"}
        sites = {
            named[name]: Site(ScriptedUpstream(), TagRules(Freshness()), PullRules(), known)
            for name, known in rules.items()
        }
        self.sites.replace(self.sites.table, sites)

    async def store(self, *holders: Repository, digest: Digest = LAYER) -> None:
        await self.metadata.record_stored(digest, 5, self.clock.now())
        for holder in holders:
            await self.metadata.confirm_blob(holder, digest, 5)

    async def expire(self, days: float = 0.0) -> dict[str, set[Digest]]:
        self.clock.advance(days * DAY)
        self.removed.clear()
        await self.expiry.run()
        return dict(self.removed)

    async def _remove(self, digests: Sequence[Digest], reason: str) -> Tally:
        tally = Tally(reason, Metrics())
        tally.failure = self.failure
        self.removed.setdefault(reason, set()).update(digests)
        for digest in digests:
            await self.metadata.forget_stored(digest)
        return tally

    async def _flush(self) -> None:
        self.sweeps += 1
        await self.uses.flush()


@pytest.fixture
async def cellar(tmp_path: Path) -> AsyncIterator[Cellar]:
    metadata, pins = SqlMetadata.open(tmp_path / "entrepot.db"), FilePins(tmp_path / "entrepot.pins")
    yield Cellar(metadata, pins)
    pins.close()
    await metadata.close()


async def test_what_was_not_used_for_long_enough_goes(cellar: Cellar) -> None:
    cellar.rule(docker=MONTH)
    await cellar.store(DEMO)
    assert await cellar.expire(days=29.9) == {}
    assert await cellar.expire(days=0.2) == {"unused": {LAYER}}
    assert await cellar.expire() == {}


async def test_a_use_that_is_only_noted_yet_keeps_content(cellar: Cellar) -> None:
    cellar.rule(docker=MONTH)
    await cellar.store(DEMO)
    cellar.clock.advance(31 * DAY)
    cellar.uses.note(LAYER)
    assert await cellar.expire() == {}


async def test_what_was_fetched_long_enough_ago_goes_though_it_is_used(cellar: Cellar) -> None:
    cellar.rule(docker=YEAR)
    await cellar.store(DEMO)
    cellar.clock.advance(364 * DAY)
    cellar.uses.note(LAYER)
    assert await cellar.expire() == {}
    cellar.uses.note(LAYER)
    assert await cellar.expire(days=2) == {"old": {LAYER}}


async def test_manifests_go_by_the_same_rules(cellar: Cellar) -> None:
    cellar.rule(docker=MONTH)
    manifest = StoredManifest(Digest.of(b"{}"), "application/manifest", b"{}")
    await cellar.metadata.record_manifest(DEMO, manifest, ManifestLinks(), cellar.clock.now())
    assert await cellar.expire(days=31) == {"unused": {manifest.digest}}


async def test_a_holder_who_keeps_longer_keeps_it_for_all(cellar: Cellar) -> None:
    cellar.rule(docker=MONTH, ghcr=RetentionRules(Retention(keep_for=90 * DAY)))
    await cellar.store(DEMO, ELSEWHERE)
    assert await cellar.expire(days=31) == {}
    assert await cellar.expire(days=60) == {"unused": {LAYER}}


async def test_a_clock_that_is_set_back_expires_nothing_early_and_keeps_nothing_for_ever(
    cellar: Cellar,
) -> None:
    cellar.rule(docker=MONTH)
    await cellar.store(DEMO)
    assert await cellar.expire(days=-400) == {}
    fresh = Digest.of(b"fetched by the clock that was set back")
    await cellar.store(DEMO, digest=fresh)
    assert await cellar.expire(days=29) == {}
    assert await cellar.expire(days=2) == {"unused": {fresh}}
    assert await cellar.expire(days=400) == {"unused": {LAYER}}


async def test_what_nobody_is_known_to_hold_is_left_to_eviction(cellar: Cellar) -> None:
    cellar.rule(docker=MONTH)
    await cellar.store()
    assert await cellar.expire(days=1000) == {}


async def test_without_limits_nothing_is_looked_for(cellar: Cellar) -> None:
    cellar.rule(docker=RetentionRules(pins=(Pin("*"),)))
    await cellar.store(DEMO)
    await cellar.expiry.run_when_due()
    assert cellar.sweeps == 0


async def test_many_candidates_are_gone_through_in_pages_with_a_rest_after_each(cellar: Cellar) -> None:
    cellar.rule(docker=MONTH)
    kept = {Digest.of(b"kept %d" % number) for number in range(120)}
    spent = {Digest.of(b"spent %d" % number) for number in range(130)}
    for digest in kept:
        await cellar.store(ELSEWHERE, digest=digest)
    for digest in spent:
        await cellar.store(DEMO, digest=digest)
    cellar.clock.advance(31 * DAY)
    began = cellar.clock.monotonic()
    assert await cellar.expire() == {"unused": spent}
    assert cellar.clock.monotonic() - began == pytest.approx(3 * 0.05)


async def test_a_short_limit_is_looked_after_often_and_a_long_one_seldom(cellar: Cellar) -> None:
    cellar.rule(docker=RetentionRules(Retention(keep_for=60)))
    for _ in range(30):
        await cellar.expiry.run_when_due()
        cellar.clock.advance(1)
    assert cellar.sweeps == 5
    cellar.rule(docker=MONTH)
    for _ in range(1800):
        await cellar.expiry.run_when_due()
        cellar.clock.advance(1)
    assert cellar.sweeps == 8


async def test_rules_that_change_hold_at_once(cellar: Cellar) -> None:
    cellar.rule(docker=MONTH)
    await cellar.store(DEMO)
    cellar.clock.advance(2 * DAY)
    await cellar.expiry.run_when_due()
    cellar.rule(docker=RetentionRules(Retention(keep_for=DAY)))
    cellar.clock.advance(600)
    await cellar.expiry.run_when_due()
    assert cellar.removed == {"unused": {LAYER}}


async def test_pinned_content_neither_expires_nor_may_it_be_evicted(cellar: Cellar) -> None:
    cellar.rule(docker=RetentionRules(Retention(keep_for=DAY), pins=(Pin("library/*"),)))
    await cellar.store(DEMO)
    await cellar.store(OTHER, digest=Digest.of(b"another"))
    assert await cellar.expire(days=2) == {"unused": {Digest.of(b"another")}}
    assert await cellar.expiry.pinned([LAYER, Digest.of(b"another")]) == {LAYER}


async def test_a_pinned_tag_protects_all_that_it_leads_to_and_lets_go_when_it_moves(cellar: Cellar) -> None:
    cellar.rule(docker=RetentionRules(pins=(Pin("library/demo", "1*"),)))
    old, new = (StoredManifest(Digest.of(text), "application/manifest", text) for text in (b"{}", b"{ }"))
    layers = {manifest: Digest.of(manifest.content + b"'s layer") for manifest in (old, new)}
    for manifest, layer in layers.items():
        links = ManifestLinks(blobs=(Descriptor(layer, 5),))
        await cellar.metadata.record_manifest(DEMO, manifest, links, 1.0)
    everything = [old.digest, new.digest, *layers.values()]
    for manifest in (old, new):
        await cellar.metadata.record_tag(DEMO, "1.2", manifest.digest, 1.0)
        assert await cellar.expiry.pinned(everything) == {manifest.digest, layers[manifest]}


async def test_a_pin_that_is_set_while_the_cache_runs_counts_at_once(cellar: Cellar) -> None:
    await cellar.store(DEMO)
    assert await cellar.expiry.pinned([LAYER]) == set()
    await cellar.pins.set_pin("docker.io", Pin("library/demo"), 1.0)
    assert await cellar.expiry.pinned([LAYER]) == {LAYER}
    await cellar.pins.remove_pin("docker.io", Pin("library/demo"))
    assert await cellar.expiry.pinned([LAYER]) == set()


async def test_what_cannot_be_removed_is_told_as_the_runs_failure(cellar: Cellar) -> None:
    cellar.rule(docker=MONTH)
    await cellar.store(DEMO)
    assert (await cellar.expiry.run()).failure is None
    cellar.clock.advance(31 * DAY)
    cellar.failure = "read-only"
    assert (await cellar.expiry.run()).failure == "read-only"
