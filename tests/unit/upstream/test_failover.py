from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from tests.unit.upstream.conftest import SHORT

from entrepot.errors import ManifestNotHere, RateLimited, Refused, UpstreamDown, UpstreamTimeout
from entrepot.oci.reference import Tag
from entrepot.policy.breaker import Health
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_content import Image
from entrepot.testing.registry_wire import Fault
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE
from entrepot.upstream.registry import RegistryUpstream

Connect = Callable[..., RegistryUpstream]
TAG = Tag("1")
HANG = Fault(hang_before_head=True)


@pytest.fixture
def clock() -> VirtualClock:
    """Retries are near enough to immediate; only the tests move time."""
    return VirtualClock(autojump=True)


@pytest.fixture
def image(registry: FakeRegistry) -> Image:
    return registry.content.add_image("app", "1")


@pytest.fixture
async def mirror(registry: FakeRegistry) -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry(registry.content) as mirror:
        yield mirror


async def test_a_passing_failure_is_retried(
    registry: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    registry.misbehave("manifest", Fault(status=502), times=2)
    upstream = connect(registry.url)
    assert (await upstream.get_manifest("app", TAG)).digest == image.digest
    assert clock.sleeps == [0.05, 0.1]
    assert upstream.breaker.health() is Health.UP


async def test_a_timeout_is_not_retried(registry: FakeRegistry, connect: Connect) -> None:
    registry.misbehave("manifest", HANG)
    with pytest.raises(UpstreamTimeout):
        await connect(registry.url, patience=SHORT).get_manifest("app", TAG)
    assert registry.count() == 1


@pytest.mark.parametrize(
    "fault", [HANG, Fault(status=500), Fault(status=429), Fault(status=403), Fault(status=404), Fault(corrupt=True), Fault(raw=b"")]
)  # fmt: skip
async def test_the_mirror_answers_where_the_first_endpoint_does_not(
    registry: FakeRegistry, mirror: FakeRegistry, connect: Connect, image: Image, fault: Fault
) -> None:
    registry.misbehave("manifest", fault)
    upstream = connect(registry.url, mirror.url, patience=SHORT if fault is HANG else PATIENCE)
    assert (await upstream.get_manifest("app", TAG)).digest == image.digest
    assert mirror.count() == 1


async def test_the_mirror_is_left_alone_while_the_first_endpoint_answers(
    registry: FakeRegistry, mirror: FakeRegistry, connect: Connect, image: Image
) -> None:
    await connect(registry.url, mirror.url).get_manifest("app", TAG)
    assert mirror.count() == 0


async def test_a_dead_endpoint_is_skipped_until_it_is_probed_and_found_well(
    registry: FakeRegistry, mirror: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    registry.misbehave("manifest", HANG)
    upstream = connect(registry.url, mirror.url, patience=SHORT)
    for _ in range(3):
        await upstream.get_manifest("app", TAG)
    assert (registry.count(), mirror.count()) == (1, 3)
    registry.behave()
    clock.advance(1)
    for _ in range(2):
        await upstream.get_manifest("app", TAG)
    assert (registry.count(), mirror.count()) == (3, 3)


async def test_all_endpoints_must_agree_that_a_thing_is_not_here(
    registry: FakeRegistry, mirror: FakeRegistry, connect: Connect, image: Image
) -> None:
    upstream = connect(registry.url, mirror.url)
    with pytest.raises(ManifestNotHere):
        await upstream.get_manifest("app", Tag("absent"))
    registry.misbehave("manifest", Fault(status=403))
    with pytest.raises(Refused):
        await upstream.get_manifest("app", Tag("absent"))
    mirror.misbehave("manifest", Fault(status=500))
    with pytest.raises(UpstreamDown):
        await upstream.get_manifest("app", Tag("absent"))


async def test_after_three_quick_failures_only_those_ask_who_have_nothing_to_fall_back_on(
    registry: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    """Whoever has something learns from the breaker to leave it alone; the rest notice the recovery at once."""
    registry.misbehave("manifest", Fault(status=500))
    upstream = connect(registry.url)
    for _ in range(4):
        with pytest.raises(UpstreamDown, match="answer 500"):
            await upstream.get_manifest("app", TAG)
    assert upstream.breaker.health() is Health.DOWN
    registry.behave()
    await upstream.get_manifest("app", TAG)
    assert upstream.breaker.health() is Health.UP


async def test_one_repository_that_fails_does_not_close_the_others(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    upstream = connect(registry.url)
    registry.misbehave("manifest", Fault(status=500), containing="/bad/")
    for _ in range(5):
        with pytest.raises(UpstreamDown, match="answer 500"):
            await upstream.get_manifest("bad", TAG)
        assert (await upstream.get_manifest("app", TAG)).digest == image.digest


async def test_an_endpoint_that_hangs_is_left_alone_until_the_cooldown_is_over(
    registry: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    upstream = connect(registry.url, patience=SHORT)
    hold = asyncio.Event()
    registry.misbehave("manifest", Fault(hang_before_head=True, hold=hold))
    with pytest.raises(UpstreamTimeout):
        await upstream.get_manifest("app", TAG)
    registry.reset_counts()
    with pytest.raises(UpstreamDown, match="failed a moment ago") as caught:
        await upstream.get_manifest("app", TAG)
    assert caught.value.retry_after == pytest.approx(1)
    assert (registry.count(), upstream.breaker.health()) == (0, Health.DOWN)
    hold.set()
    registry.behave()
    clock.advance(1)
    assert upstream.breaker.health() is Health.PROBING
    await upstream.get_manifest("app", TAG)
    assert upstream.breaker.health() is Health.UP


@pytest.mark.parametrize(
    ("fault", "expected"),
    [(HANG, UpstreamDown), (Fault(status=429, headers={"Retry-After": "60"}), RateLimited)],
    ids=["hangs", "counts too many"],
)
async def test_whoever_waited_for_a_connection_does_not_repeat_the_failure_of_those_in_front(
    registry: FakeRegistry, connect: Connect, image: Image, fault: Fault, expected: type[Exception]
) -> None:
    upstream = connect(registry.url, patience=SHORT if fault is HANG else PATIENCE, max_connections=1)
    registry.misbehave("manifest", fault)
    asking = [asyncio.create_task(upstream.get_manifest("app", TAG)) for _ in range(5)]
    await asyncio.wait(asking)
    first, *queued = (task.exception() for task in asking)
    assert isinstance(first, UpstreamTimeout | RateLimited)
    assert {type(failure) for failure in queued} == {expected}
    assert registry.count() == 1


async def test_one_request_probes_while_others_hold_back(
    registry: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    upstream = connect(registry.url, patience=SHORT)
    registry.misbehave("manifest", Fault(hang_before_head=True, hold=asyncio.Event()))
    with pytest.raises(UpstreamTimeout):
        await upstream.get_manifest("app", TAG)
    registry.behave()
    registry.reset_counts()
    clock.advance(1)
    hold = asyncio.Event()
    registry.misbehave("manifest", Fault(hang_before_head=True, hold=hold))
    probe = asyncio.create_task(upstream.get_manifest("app", TAG))
    await registry.until(lambda: registry.count() == 1)
    with pytest.raises(UpstreamDown, match="failed a moment ago"):
        await upstream.get_manifest("app", TAG)
    hold.set()
    assert (await probe).digest == image.digest


async def test_doubt_counts_against_the_endpoint_that_is_slow_to_answer(
    registry: FakeRegistry, mirror: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    hold = asyncio.Event()
    registry.misbehave("manifest", Fault(hang_before_head=True, hold=hold))
    upstream = connect(registry.url, mirror.url)
    asking = asyncio.create_task(upstream.get_manifest("app", TAG))
    await registry.until(lambda: registry.count() == 1)
    clock.advance(2)
    upstream.breaker.doubt(2)
    await upstream.get_manifest("app", TAG)
    assert mirror.count() == 1
    hold.set()
    await asking
    await upstream.get_manifest("app", TAG)
    assert mirror.count() == 1


@pytest.mark.parametrize("kind", ["manifest", "tags"])
async def test_doubt_counts_against_the_endpoint_that_falls_silent_in_a_small_answer(
    registry: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image, kind: str
) -> None:
    hold = asyncio.Event()
    registry.misbehave(kind, Fault(hang_after=0.5, hold=hold))
    upstream = connect(registry.url)
    asked = upstream.tags("app") if kind == "tags" else upstream.get_manifest("app", TAG)
    asking = asyncio.create_task(asked)
    await registry.until(lambda: registry.bytes_sent(kind) > 0)
    clock.advance(2)
    upstream.breaker.doubt(2)
    assert upstream.breaker.health() is Health.DOWN
    hold.set()
    await asking
    assert upstream.breaker.health() is Health.UP


async def test_doubt_spares_endpoints_whose_lists_are_long_but_come_page_by_page(
    registry: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    hold = asyncio.Event()
    registry.misbehave("tags", Fault(headers={"Link": '</v2/app/tags/list?n=1&last=1>; rel="next"'}), times=1)
    registry.misbehave("tags", Fault(hang_before_head=True, hold=hold))
    upstream = connect(registry.url)
    clock.advance(2)
    asking = asyncio.create_task(upstream.tags("app"))
    await registry.until(lambda: registry.count("tags") == 2)
    clock.advance(1)
    upstream.breaker.doubt(2)
    assert upstream.breaker.health() is Health.UP
    hold.set()
    await asking


async def test_doubt_spares_endpoints_whose_blobs_are_long_in_coming(
    registry: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    upstream = connect(registry.url)
    async with upstream.open_blob("app", image.config):
        clock.advance(2)
        upstream.breaker.doubt(2)
        assert upstream.breaker.health() is Health.UP


async def test_doubt_spares_endpoints_that_were_not_asked_yet(
    registry: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    upstream = connect(registry.url, max_connections=1)
    async with upstream.open_blob("app", image.config):
        queued = asyncio.create_task(upstream.get_manifest("app", TAG))
        await asyncio.sleep(0)
        clock.advance(2)
        upstream.breaker.doubt(2)
        assert upstream.breaker.health() is Health.UP
    assert (await queued).digest == image.digest


async def test_doubt_spares_endpoints_that_were_asked_only_a_moment_ago(
    registry: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    hold = asyncio.Event()
    registry.misbehave("manifest", Fault(hang_before_head=True, hold=hold))
    upstream = connect(registry.url)
    asking = asyncio.create_task(upstream.get_manifest("app", TAG))
    await registry.until(lambda: registry.count() == 1)
    clock.advance(0.005)
    upstream.breaker.doubt(2)
    assert upstream.breaker.health() is Health.UP
    hold.set()
    await asking


async def test_what_is_not_here_or_refused_says_that_the_endpoint_lives(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    upstream = connect(registry.url)
    for _ in range(5):
        with pytest.raises(ManifestNotHere):
            await upstream.get_manifest("app", Tag("absent"))
    assert upstream.breaker.health() is Health.UP


@pytest.mark.parametrize(
    "told", ["60", "Tue, 14 Nov 2023 22:14:20 GMT"], ids=["seconds", "date"]
)  # The clock starts at 22:13:20 of that day.
async def test_a_429_is_honoured_for_as_long_as_it_says(
    registry: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image, told: str
) -> None:
    registry.misbehave("manifest", Fault(status=429, headers={"Retry-After": told}), times=1)
    upstream = connect(registry.url)
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            await upstream.get_manifest("app", TAG)
        assert caught.value.retry_after == pytest.approx(60)
    assert (registry.count(), upstream.breaker.health()) == (1, Health.DOWN)
    clock.advance(60)
    assert (await upstream.get_manifest("app", TAG)).digest == image.digest


async def test_where_all_endpoints_count_too_many_the_first_that_may_be_asked_again_is_told(
    registry: FakeRegistry, mirror: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    registry.misbehave("manifest", Fault(status=429, headers={"Retry-After": "3600"}), times=1)
    mirror.misbehave("manifest", Fault(status=429, headers={"Retry-After": "60"}), times=1)
    upstream = connect(registry.url, mirror.url)
    for _ in range(2):
        with pytest.raises(RateLimited) as caught:
            await upstream.get_manifest("app", TAG)
        assert caught.value.retry_after == pytest.approx(60)
    clock.advance(60)
    assert (await upstream.get_manifest("app", TAG)).digest == image.digest


async def test_a_short_429_is_waited_for(
    registry: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    registry.misbehave("manifest", Fault(status=429, headers={"Retry-After": "1"}), times=1)
    assert (await connect(registry.url).get_manifest("app", TAG)).digest == image.digest
    assert sum(clock.sleeps) >= 1


async def test_retry_after_of_a_503_is_passed_on(registry: FakeRegistry, connect: Connect) -> None:
    registry.misbehave("manifest", Fault(status=503, headers={"Retry-After": "7"}))
    with pytest.raises(UpstreamDown) as caught:
        await connect(registry.url).get_manifest("app", TAG)
    assert caught.value.retry_after == 7


async def test_a_registry_that_died_and_came_back_is_used_again(
    registry: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    upstream = connect(registry.url)
    await upstream.get_manifest("app", TAG)
    await registry.stop()
    with pytest.raises(UpstreamDown):
        await upstream.get_manifest("app", TAG)
    await registry.start()
    clock.advance(15)
    assert (await upstream.get_manifest("app", TAG)).digest == image.digest


async def test_a_blob_fails_over_before_its_first_byte(
    registry: FakeRegistry, mirror: FakeRegistry, connect: Connect
) -> None:
    digest = registry.content.add_blob("app", b"layer")
    registry.misbehave("blob", Fault(status=500))
    async with connect(registry.url, mirror.url).open_blob("app", digest) as blob:
        assert b"".join([chunk async for chunk in blob.chunks()]) == b"layer"


@pytest.mark.parametrize("challenge", ['Basic realm="x"', 'Bearer realm="http://[bad/token"', ""])
async def test_what_one_repository_asks_for_closes_no_other(
    registry: FakeRegistry, connect: Connect, image: Image, challenge: str
) -> None:
    upstream = connect(registry.url)
    fault = Fault(status=401, headers={"WWW-Authenticate": challenge})
    registry.misbehave("manifest", fault, containing="/private/")
    with pytest.raises(Refused):
        await upstream.get_manifest("private", TAG)
    assert (await upstream.get_manifest("app", TAG)).digest == image.digest


async def test_who_gave_wrong_bytes_of_a_blob_is_asked_for_it_when_all_others_have_been(
    registry: FakeRegistry, mirror: FakeRegistry, connect: Connect, image: Image
) -> None:
    upstream = connect(mirror.url, registry.url)
    for count in (1, 2):
        async with upstream.open_blob("app", image.config) as blob:
            blob.origin.distrust(image.config)
        assert (mirror.count("blob"), registry.count("blob")) == (1, count - 1)
    async with upstream.open_blob("app", image.layers[0]):
        assert mirror.count("blob") == 2


async def test_distrust_is_forgotten_after_an_hour(
    registry: FakeRegistry, mirror: FakeRegistry, connect: Connect, clock: VirtualClock, image: Image
) -> None:
    upstream = connect(mirror.url, registry.url)
    async with upstream.open_blob("app", image.config) as blob:
        blob.origin.distrust(image.config)
    clock.advance(3601)
    async with upstream.open_blob("app", image.config):
        assert mirror.count("blob") == 2
