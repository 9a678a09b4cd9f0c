"""The machine's clock set back, or put right: nothing is believed for years, and nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from entrepot.engine.manifests import Manifests
from entrepot.engine.revalidation import Cache
from entrepot.engine.sites import Site, Sites
from entrepot.engine.uses import Uses
from entrepot.errors import ManifestNotHere, UpstreamDown
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.reference import Repository, Tag
from entrepot.policy.access import PullRules
from entrepot.policy.breaker import Health
from entrepot.policy.freshness import Freshness, TagRules
from entrepot.policy.routing import UpstreamTable
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.scripted_upstream import ScriptedUpstream
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE

DEMO = Repository("docker.io", "library/demo")
LATEST = Tag("latest")
OLD, NEW = b'{"schemaVersion":2}', b'{"schemaVersion":2,"layers":[]}'
HOUR, YEAR = 3600.0, 365 * 86400.0
LIMITS = Freshness(fresh_for=30, revalidate_within=PATIENCE, stale_if_error=30 * 86400, not_found_for=10)


@dataclass
class Desk:
    metadata: SqlMetadata
    upstream: ScriptedUpstream = field(default_factory=ScriptedUpstream)
    clock: VirtualClock = field(default_factory=VirtualClock)

    def __post_init__(self) -> None:
        site = Site(self.upstream, TagRules(LIMITS), PullRules())
        sites = Sites(UpstreamTable.build(["docker.io"], {}, "docker.io"), {"docker.io": site})
        uses = Uses(self.metadata, self.clock)
        self.manifests = Manifests(sites, self.metadata, uses, self.clock, Metrics(), memory=1 << 20)

    def publish(self, content: bytes) -> None:
        self.upstream.manifests["library/demo", "latest"] = content

    async def pull(self) -> tuple[bytes, Cache]:
        answer = await self.manifests.pull(DEMO, LATEST)
        return answer.value.content, answer.cache

    def restart(self) -> None:
        self.__post_init__()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    metadata = SqlMetadata.open(tmp_path / "entrepot.db")
    desk = Desk(metadata)
    desk.publish(OLD)
    await desk.pull()
    yield desk
    await desk.manifests.close()
    await metadata.close()


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("jump", [-HOUR, -10 * YEAR, HOUR, 10 * YEAR])
async def test_a_tag_is_checked_once_and_then_believed_as_ever(
    desk: Desk, jump: float, *, restarted: bool
) -> None:
    desk.publish(NEW)
    desk.clock.advance(jump)
    if restarted:
        desk.restart()
    assert (await desk.pull())[0] == NEW
    asked = len(desk.upstream.asked)
    for _ in range(5):
        assert await desk.pull() == (NEW, Cache.HIT)
    assert len(desk.upstream.asked) == asked
    desk.clock.advance(31)
    await desk.pull()
    assert len(desk.upstream.asked) == asked + 1


@pytest.mark.parametrize("jump", [-HOUR, -10 * YEAR])
async def test_a_tag_of_a_clock_that_was_ahead_is_there_while_the_upstream_fails(
    desk: Desk, jump: float
) -> None:
    desk.clock.advance(jump)
    desk.upstream.failure = UpstreamDown("it is down")
    assert await desk.pull() == (OLD, Cache.STALE)
    desk.upstream.breaker.state = Health.DOWN
    assert await desk.pull() == (OLD, Cache.STALE)


async def test_a_clock_that_was_ahead_for_a_while_costs_no_tag(desk: Desk) -> None:
    desk.clock.advance(10 * YEAR)
    desk.upstream.failure = UpstreamDown("it is down")
    with pytest.raises(UpstreamDown):
        await desk.pull()
    desk.clock.advance(-10 * YEAR)
    assert await desk.pull() == (OLD, Cache.HIT)


@pytest.mark.parametrize("jump", [-HOUR, -10 * YEAR])
async def test_a_refusal_is_believed_for_its_while_though_the_tag_is_of_the_future(
    desk: Desk, jump: float
) -> None:
    desk.clock.advance(jump)
    desk.upstream.failure = ManifestNotHere("it is gone")
    for _ in range(5):
        assert await desk.pull() == (OLD, Cache.STALE)
    assert len(desk.upstream.asked) == 2
    desk.clock.advance(11)
    await desk.pull()
    assert len(desk.upstream.asked) == 3


@pytest.mark.parametrize("jump", [-HOUR, -10 * YEAR])
async def test_a_refusal_of_a_clock_that_was_ahead_is_forgotten(desk: Desk, jump: float) -> None:
    desk.upstream.failure = ManifestNotHere("it is gone")
    desk.clock.advance(31)
    assert await desk.pull() == (OLD, Cache.STALE)
    desk.clock.advance(jump)
    desk.upstream.failure = None
    assert await desk.pull() == (OLD, Cache.REVALIDATED)
