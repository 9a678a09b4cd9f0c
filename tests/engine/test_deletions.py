"""Manifests and tags that are gone: upstream, or from this cache."""

from __future__ import annotations

import pytest
from tests.engine.conftest import LATEST, NEW, OLD, Desk

from entrepot.engine.revalidation import Cache
from entrepot.errors import ManifestNotHere, Refused, UpstreamDown
from entrepot.oci.reference import Repository
from entrepot.testing.waiting import until

DEMO = Repository("docker.io", "library/demo")


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
    desk.limit(follow_deletions=True)
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
    desk.limit(follow_deletions=True)
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(31)
    desk.upstream.failure = failure
    for _ in range(2):
        assert await desk.pull() == (OLD, Cache.STALE)
    assert desk.metadata.tag(DEMO, "latest") is not None


async def test_a_deletion_that_is_told_too_late_for_one_asker_is_followed_for_the_next(desk: Desk) -> None:
    desk.limit(follow_deletions=True, revalidate_within=0.02)
    desk.publish(OLD)
    await desk.pull()
    desk.clock.advance(31)
    desk.upstream.gate.clear()
    desk.upstream.manifests.clear()
    assert await desk.pull() == (OLD, Cache.STALE)
    desk.upstream.gate.set()
    await until(lambda: desk.metadata.tag(DEMO, "latest") is None, "the deletion")
    with pytest.raises(ManifestNotHere):
        await desk.pull()


async def test_a_manifest_that_was_removed_is_not_served_from_memory(desk: Desk) -> None:
    digest = desk.publish(OLD)
    await desk.pull()
    before = desk.manifests.generation
    await desk.metadata.evict(desk.metadata.candidates([digest]))
    desk.manifests.forget_everywhere({digest})
    assert desk.manifests.generation != before
    assert await desk.pull() == (OLD, Cache.MISS)
    assert desk.metadata.tag(DEMO, "latest") is not None


async def test_removing_one_manifest_leaves_the_others_at_hand(desk: Desk) -> None:
    kept, removed = desk.publish(OLD), desk.publish(NEW, "other")
    for digest in (kept, removed):
        await desk.pull(digest)
    desk.manifests.forget_everywhere({removed})
    assert [digest for _, digest in desk.manifests._manifests._values] == [kept]
