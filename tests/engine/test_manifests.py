"""Manifests by tag and digest: when the upstream is asked, and what is served while it fails."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from entrepot.engine.manifests import Manifests
from entrepot.engine.revalidation import Cache
from entrepot.engine.sites import Site, Sites
from entrepot.engine.uses import Uses
from entrepot.errors import ManifestNotHere, RateLimited, Refused, UnknownUpstream, UpstreamDown
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks
from entrepot.oci.reference import Repository, Tag
from entrepot.policy.access import PullRules
from entrepot.policy.breaker import Health
from entrepot.policy.freshness import Freshness, TagRules
from entrepot.policy.routing import UpstreamTable
from entrepot.ports.metadata import KnownBlob, StoredManifest
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.scripted_upstream import ScriptedUpstream
from entrepot.testing.virtual_clock import VirtualClock

DEMO = Repository("docker.io", "library/demo")
OTHER = Repository("docker.io", "library/other")
LATEST = Tag("latest")
OLD, NEW = b'{"schemaVersion":2}', b'{"schemaVersion":2,"layers":[]}'
LIMITS = Freshness(fresh_for=30, revalidate_within=0.2, stale_if_error=3600, not_found_for=10)


@dataclass
class Desk:
    metadata: SqlMetadata
    upstream: ScriptedUpstream = field(default_factory=ScriptedUpstream)
    clock: VirtualClock = field(default_factory=VirtualClock)
    rules: TagRules = field(default_factory=lambda: TagRules(LIMITS, (), ("v*",)))

    def __post_init__(self) -> None:
        site = Site(self.upstream, self.rules, PullRules(deny=("secret/*",)))
        sites = Sites(UpstreamTable.build(["docker.io"], {}, "docker.io"), {"docker.io": site})
        self.metrics = Metrics()
        uses = Uses(self.metadata, self.clock)
        self.manifests = Manifests(
            sites, self.metadata, uses, self.clock, metrics=self.metrics, memory=1 << 20
        )

    def publish(self, content: bytes, tag: str = "latest", repository: str = "library/demo") -> Digest:
        self.upstream.manifests[repository, tag] = content
        return Digest.of(content)

    async def pull(self, tag: Tag | Digest = LATEST, repository: Repository = DEMO) -> tuple[bytes, Cache]:
        answer = await self.manifests.pull(repository, tag)
        return answer.value.content, answer.cache

    def restart(self) -> None:
        self.__post_init__()

    def follow_deletions(self) -> None:
        self.rules = TagRules(replace(LIMITS, follow_deletions=True))
        self.restart()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    metadata = SqlMetadata.open(tmp_path / "entrepot.db")
    desk = Desk(metadata)
    yield desk
    await desk.manifests.close()
    await metadata.close()


async def test_a_warm_tag_costs_no_request(desk: Desk) -> None:
    desk.publish(OLD)
    assert await desk.pull() == (OLD, Cache.MISS)
    for _ in range(10):
        assert await desk.pull() == (OLD, Cache.HIT)
    assert desk.upstream.asked == ["GET library/demo latest"]


async def test_a_warm_tag_costs_no_request_after_a_restart_either(desk: Desk) -> None:
    desk.publish(OLD)
    await desk.pull()
    desk.restart()
    assert await desk.pull() == (OLD, Cache.HIT)
    assert len(desk.upstream.asked) == 1


async def test_outside_its_window_a_tag_costs_one_head(desk: Desk) -> None:
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(31)
    assert await desk.pull() == (OLD, Cache.REVALIDATED)
    assert await desk.pull() == (OLD, Cache.HIT)
    assert desk.upstream.asked[1:] == ["HEAD library/demo latest"]


async def test_a_moved_tag_is_noticed(desk: Desk) -> None:
    desk.publish(OLD)
    await desk.pull()
    desk.publish(NEW)
    desk.clock.advance(31)
    assert await desk.pull() == (NEW, Cache.REVALIDATED)


async def test_a_tag_that_moves_back_needs_no_second_download(desk: Desk) -> None:
    for content in (OLD, NEW, OLD):
        desk.publish(content)
        assert (await desk.pull())[0] == content
        desk.clock.advance(31)
    assert [request.split()[0] for request in desk.upstream.asked] == ["GET", "HEAD", "GET", "HEAD"]


async def test_an_immutable_tag_is_asked_for_once(desk: Desk) -> None:
    desk.publish(OLD, "v1")
    await desk.pull(Tag("v1"))
    desk.clock.advance(10_000_000)
    assert await desk.pull(Tag("v1")) == (OLD, Cache.HIT)


async def test_a_hundred_askers_cost_one_request(desk: Desk) -> None:
    desk.publish(OLD)
    async with asyncio.TaskGroup() as group:
        askers = [group.create_task(desk.pull()) for _ in range(100)]
    assert {asker.result()[0] for asker in askers} == {OLD}
    assert len(desk.upstream.asked) == 1


@pytest.mark.parametrize(
    "failure",
    [UpstreamDown("500"), RateLimited("429", 60), Refused("401"), ManifestNotHere("404")],
    ids=str,
)
async def test_what_is_cached_outlives_the_upstream(desk: Desk, failure: Exception) -> None:
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(31)
    desk.upstream.failure = failure  # type: ignore[assignment]  # parametrize widens the type
    answer = await desk.manifests.pull(DEMO, LATEST)
    assert (answer.value.content, answer.cache, answer.age) == (OLD, Cache.STALE, 31)


async def test_an_upstream_that_refuses_is_not_asked_again_at_once(desk: Desk) -> None:
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(31)
    desk.upstream.failure = ManifestNotHere("deleted")
    for _ in range(5):
        assert (await desk.pull())[1] == Cache.STALE
    assert len(desk.upstream.asked) == 2
    desk.clock.advance(11)
    await desk.pull()
    assert len(desk.upstream.asked) == 3


async def test_a_hung_upstream_holds_up_an_answer_for_the_budget_and_is_doubted(desk: Desk) -> None:
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(31)
    desk.upstream.gate.clear()
    assert await desk.pull() == (OLD, Cache.STALE)
    assert desk.upstream.breaker.doubts == [0.2]


@pytest.mark.parametrize("health", [Health.DOWN, Health.PROBING])
async def test_while_the_breaker_is_open_nobody_waits(desk: Desk, health: Health) -> None:
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(31)
    desk.upstream.gate.clear()
    desk.upstream.breaker.state = health
    assert await desk.pull() == (OLD, Cache.STALE)
    assert desk.upstream.breaker.doubts == []


async def test_a_probe_behind_an_answer_refreshes_the_tag(desk: Desk) -> None:
    desk.publish(OLD)
    await desk.pull()
    desk.publish(NEW)
    desk.clock.advance(31)
    desk.upstream.breaker.state = Health.PROBING
    assert await desk.pull() == (OLD, Cache.STALE)
    for _ in range(200):
        await asyncio.sleep(0.005)
        if await desk.pull() == (NEW, Cache.HIT):
            return
    raise AssertionError("the tag was not refreshed")


async def test_beyond_stale_if_error_the_failure_is_told(desk: Desk) -> None:
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(3601)
    desk.upstream.failure = UpstreamDown("500")
    with pytest.raises(UpstreamDown):
        await desk.pull()


async def test_a_404_is_believed_for_a_while(desk: Desk) -> None:
    for _ in range(5):
        with pytest.raises(ManifestNotHere):
            await desk.pull()
    assert len(desk.upstream.asked) == 1
    desk.clock.advance(11)
    desk.publish(OLD)
    assert await desk.pull() == (OLD, Cache.MISS)


async def test_a_404_that_is_given_again_and_again_keeps_nothing_of_those_who_got_it(desk: Desk) -> None:
    depths = []
    for _ in range(4):
        with pytest.raises(ManifestNotHere, match="has no latest") as caught:
            await desk.pull()
        depths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert len(desk.upstream.asked) == 1
    assert depths[1] == depths[2] == depths[3]


async def test_a_404_that_nobody_asks_for_again_is_forgotten(desk: Desk) -> None:
    for number in range(50):
        with pytest.raises(ManifestNotHere):
            await desk.pull(Tag(f"absent-{number}"))
    desk.clock.advance(11)
    with pytest.raises(ManifestNotHere):
        await desk.pull(Tag("another"))
    assert len(desk.manifests._by_tag._refusals) == 1


async def test_a_refused_tag_too_old_to_fall_back_on_is_refused_without_asking_again(desk: Desk) -> None:
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(3601)
    desk.upstream.failure = Refused("denied")
    for _ in range(3):
        with pytest.raises(Refused, match="denied"):
            await desk.pull()
    assert len(desk.upstream.asked) == 2


@pytest.mark.parametrize("age", [31, 3601, 10_000_000])
async def test_a_tag_that_was_deleted_upstream_stays_here(desk: Desk, age: float) -> None:
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(age)
    desk.upstream.failure = ManifestNotHere("deleted")
    for _ in range(3):
        answer = await desk.manifests.pull(DEMO, LATEST)
        assert (answer.value.content, answer.cache, answer.age) == (OLD, Cache.STALE, age)
    assert len(desk.upstream.asked) == 2
    desk.restart()
    assert await desk.pull() == (OLD, Cache.STALE)


async def test_a_tag_that_comes_back_upstream_is_taken_up_again(desk: Desk) -> None:
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(3601)
    desk.upstream.failure = ManifestNotHere("deleted")
    await desk.pull()
    desk.upstream.failure = None
    desk.publish(NEW)
    desk.clock.advance(11)
    assert await desk.pull() == (NEW, Cache.MISS)


@pytest.mark.parametrize("age", [31, 3601])
async def test_where_deletions_are_followed_a_deleted_tag_is_forgotten(desk: Desk, age: float) -> None:
    desk.follow_deletions()
    digest = desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(age)
    desk.upstream.failure = ManifestNotHere("deleted")
    for _ in range(3):
        with pytest.raises(ManifestNotHere, match="deleted"):
            await desk.pull()
    assert len(desk.upstream.asked) == 2
    assert desk.metadata.tag(DEMO, "latest") is None
    assert await desk.pull(digest) == (OLD, Cache.HIT)


@pytest.mark.parametrize("failure", [UpstreamDown("500"), Refused("401")], ids=str)
async def test_where_deletions_are_followed_other_failures_forget_nothing(
    desk: Desk, failure: UpstreamDown | Refused
) -> None:
    desk.follow_deletions()
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(31)
    desk.upstream.failure = failure
    for _ in range(2):
        assert await desk.pull() == (OLD, Cache.STALE)
    assert desk.metadata.tag(DEMO, "latest") is not None


async def test_a_deletion_that_is_told_too_late_for_one_asker_is_followed_for_the_next(desk: Desk) -> None:
    desk.follow_deletions()
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(31)
    desk.upstream.gate.clear()
    desk.upstream.manifests.clear()
    assert await desk.pull() == (OLD, Cache.STALE)
    desk.upstream.gate.set()
    for _ in range(200):
        await asyncio.sleep(0.005)
        if desk.metadata.tag(DEMO, "latest") is None:
            break
    with pytest.raises(ManifestNotHere):
        await desk.pull()


async def test_by_digest_the_upstream_is_never_asked_again(desk: Desk) -> None:
    digest = desk.publish(OLD)
    assert await desk.pull(digest) == (OLD, Cache.MISS)
    desk.clock.advance(10_000_000)
    desk.upstream.failure = UpstreamDown("500")
    desk.restart()
    assert await desk.pull(digest) == (OLD, Cache.HIT)


async def test_a_manifest_of_one_repository_is_not_served_under_another_without_leave(desk: Desk) -> None:
    digest = desk.publish(OLD)
    await desk.pull(digest)
    with pytest.raises(ManifestNotHere):
        await desk.pull(digest, OTHER)
    desk.publish(OLD, repository="library/other")
    assert (await desk.pull(digest, OTHER))[0] == OLD
    assert desk.upstream.asked[-1] == f"HEAD library/other {digest}"


async def test_a_confirmed_manifest_is_called_what_its_own_registry_calls_it(desk: Desk) -> None:
    digest = desk.publish(OLD)
    foreign = StoredManifest(digest, "application/foreign", OLD)
    await desk.metadata.record_manifest(OTHER, foreign, ManifestLinks(), 1.0)
    answer = await desk.manifests.pull(DEMO, digest)
    assert answer.value.media_type == "application/vnd.oci.image.manifest.v1+json"


async def test_what_an_index_names_and_another_repository_holds_outlives_the_upstream(desk: Desk) -> None:
    layer = Digest.of(b"layer")
    child = b'{"layers":[{"digest":"%s","size":5}]}' % str(layer).encode()
    entry = b'{"digest":"%s","mediaType":"application/child"}' % str(Digest.of(child)).encode()
    index = b'{"manifests":[%s]}' % entry
    for repository in ("library/demo", "library/other"):
        desk.publish(index, repository=repository)
        desk.publish(child, "child", repository)
    await desk.pull()
    await desk.pull(Digest.of(child))
    await desk.pull(repository=OTHER)
    desk.upstream.failure = UpstreamDown("500")
    answer = await desk.manifests.pull(OTHER, Digest.of(child))
    assert (answer.value.content, answer.value.media_type) == (child, "application/child")
    assert answer.cache is Cache.HIT
    assert desk.metadata.blob(OTHER, layer) == KnownBlob(5)
    with pytest.raises(UpstreamDown):
        await desk.pull(Digest.of(child), Repository("docker.io", "library/third"))


async def test_rules_and_unknown_upstreams_are_refused_without_asking(desk: Desk) -> None:
    with pytest.raises(Refused, match=r"upstreams\.docker\.io\.repositories"):
        await desk.pull(repository=Repository("docker.io", "secret/thing"))
    with pytest.raises(UnknownUpstream):
        await desk.pull(repository=Repository("gone.example", "thing"))
    assert desk.upstream.asked == []


async def test_an_asker_who_leaves_takes_nothing_from_the_others(desk: Desk) -> None:
    desk.publish(OLD)
    desk.upstream.gate.clear()
    first, second = (asyncio.ensure_future(desk.pull()) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    desk.upstream.gate.set()
    assert (await second)[0] == OLD
    assert len(desk.upstream.asked) == 1


async def test_checks_of_tags_are_counted_by_what_they_found(desk: Desk) -> None:
    for content in (OLD, OLD, NEW):
        desk.publish(content)
        await desk.pull()
        desk.clock.advance(31)
    for failure in (UpstreamDown("500"), ManifestNotHere("404")):
        desk.upstream.failure = failure
        await desk.pull()
    counted = re.findall(r'revalidations_total{outcome="(\w+)".*} (\S+)', desk.metrics.render().decode())
    assert counted == [("unchanged", "1.0"), ("changed", "1.0"), ("error", "1.0"), ("gone", "1.0")]


async def test_a_manifest_that_was_removed_is_not_served_from_memory(desk: Desk) -> None:
    digest = desk.publish(OLD)
    answer = await desk.manifests.pull(DEMO, LATEST)
    answer = await desk.manifests.pull(DEMO, LATEST)
    assert desk.manifests.still_holds(DEMO, answer)
    await desk.metadata.evict(desk.metadata.candidates([digest]))
    desk.manifests.forget({digest})
    assert not desk.manifests.still_holds(DEMO, answer)
    assert await desk.pull() == (OLD, Cache.MISS)
    assert desk.metadata.tag(DEMO, "latest") is not None


async def test_removing_one_manifest_leaves_the_others_at_hand(desk: Desk) -> None:
    kept, removed = desk.publish(OLD), desk.publish(NEW, "other")
    for digest in (kept, removed):
        await desk.pull(digest)
    answer = await desk.manifests.pull(DEMO, kept)
    desk.manifests.forget({removed})
    assert desk.manifests.still_holds(DEMO, answer)
