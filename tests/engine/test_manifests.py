"""Manifests by tag and digest: when the upstream is asked, and what is served while it fails."""

from __future__ import annotations

import asyncio
import re
import traceback

import pytest
from tests.engine.conftest import LATEST, NEW, OLD, Desk

from entrepot.engine import manifests as manifests_module
from entrepot.engine.revalidation import Cache
from entrepot.errors import ManifestNotHere, RateLimited, Refused, UnknownUpstream, UpstreamDown
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks
from entrepot.oci.reference import Repository, Tag
from entrepot.policy.breaker import Health
from entrepot.ports.metadata import KnownBlob, StoredManifest
from entrepot.testing.waiting import until

DEMO = Repository("docker.io", "library/demo")
OTHER = Repository("docker.io", "library/other")


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


async def test_what_could_not_be_recorded_when_it_came_is_recorded_when_it_can_be(desk: Desk) -> None:
    digest = desk.publish(OLD)
    desk.may_write(allowed=False)
    await desk.pull()
    await desk.manifests.record_again()
    desk.may_write(allowed=True)
    await desk.manifests.record_again()
    desk.restart()
    assert await desk.pull() == (OLD, Cache.HIT)
    assert await desk.pull(digest) == (OLD, Cache.HIT)
    assert len(desk.upstream.asked) == 1


async def test_what_could_not_be_recorded_and_is_forgotten_meanwhile_is_not_recorded(desk: Desk) -> None:
    digest = desk.publish(OLD)
    desk.may_write(allowed=False)
    await desk.pull()
    desk.may_write(allowed=True)
    desk.manifests.forget([(DEMO, "latest")], [(DEMO, digest)])
    await desk.manifests.record_again()
    assert desk.metadata.manifest(DEMO, digest) is None
    assert desk.metadata.tag(DEMO, "latest") is None


async def test_what_is_at_hand_when_the_index_loses_all_it_knew_is_recorded_again(desk: Desk) -> None:
    digest = desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(20)
    await desk.lose_metadata()
    desk.manifests.note_loss()
    await desk.manifests.record_again()
    desk.restart()
    assert await desk.pull(digest) == (OLD, Cache.HIT)
    desk.clock.advance(20)
    assert await desk.pull() == (OLD, Cache.REVALIDATED)


async def test_all_that_is_at_hand_is_recorded_again_though_that_fails_at_first(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More may be at hand than is noted otherwise."""
    monkeypatch.setattr(manifests_module, "_MOST_UNRECORDED", 1)
    digest = desk.publish(OLD)
    await desk.pull()
    await desk.lose_metadata()
    desk.manifests.note_loss()
    desk.may_write(allowed=False)
    await desk.manifests.record_again()
    desk.may_write(allowed=True)
    await desk.manifests.record_again()
    assert desk.metadata.manifest(DEMO, digest) is not None
    assert desk.metadata.tag(DEMO, "latest") is not None


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
    desk.limit(revalidate_within=0.02)
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(31)
    desk.upstream.gate.clear()
    assert await desk.pull() == (OLD, Cache.STALE)
    assert desk.upstream.breaker.doubts == [0.02]


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
    known = desk.metadata.tag(DEMO, "latest")
    await until(lambda: desk.metadata.tag(DEMO, "latest") != known, "the refresh")
    assert await desk.pull() == (NEW, Cache.HIT)


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
    await until(lambda: desk.upstream.asked, "the request")
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
