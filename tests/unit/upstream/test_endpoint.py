from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from entrepot.errors import SettingsInvalid
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_wire import Fault
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE
from entrepot.upstream.endpoint import Busy, ConnectionQueue, Endpoint, origin_of
from entrepot.upstream.registry import RegistryUpstream


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://registry-1.docker.io", "https://registry-1.docker.io/v2/library/alpine/manifests/1"),
        ("https://a.test/", "https://a.test/v2/library/alpine/manifests/1"),
        ("https://a.test/v2/", "https://a.test/v2/library/alpine/manifests/1"),
        ("http://a.test:81/hub", "http://a.test:81/v2/hub/library/alpine/manifests/1"),
        ("https://a.test/v2/hub/", "https://a.test/v2/hub/library/alpine/manifests/1"),
        ("https://a.test/v2hub", "https://a.test/v2/v2hub/library/alpine/manifests/1"),
    ],
)
def test_an_address_has_the_path_of_the_endpoint_behind_v2(url: str, address: str) -> None:
    assert Endpoint(url, VirtualClock(), 1).address("library/alpine", "manifests/1") == address


@pytest.mark.parametrize("url", ["", "registry.test", "ftp://registry.test", "https://"])
def test_what_is_no_url_is_no_endpoint(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="expected an http"):
        Endpoint(url, VirtualClock(), 1)


def test_an_origin_knows_the_default_ports() -> None:
    assert origin_of("https://A.test/x") == origin_of("https://a.test:443/y")
    assert origin_of("https://a.test") != origin_of("http://a.test:443")
    assert origin_of("https://a.test") != origin_of("https://a.test:8443")


async def test_places_are_given_out_in_the_order_they_were_asked_for() -> None:
    queue = ConnectionQueue("a.test", 1)
    served: list[int] = []

    async def ask(number: int) -> None:
        async with queue.place():
            served.append(number)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(ask(number))
    assert served == list(range(10))


async def test_waiting_for_a_place_ends() -> None:
    queue = ConnectionQueue("a.test", 1, deadline=0.01)
    async with queue.place():
        with pytest.raises(Busy, match="max_connections"):
            async with queue.place():
                pytest.fail("there was one place only")
    async with queue.place():
        pass


async def test_whoever_leaves_the_queue_takes_no_place() -> None:
    queue = ConnectionQueue("a.test", 1)

    async def ask() -> None:
        async with queue.place():
            pass

    async with queue.place():
        waiting = asyncio.create_task(ask())
        await asyncio.sleep(0)
        waiting.cancel()
    async with asyncio.timeout(PATIENCE), queue.place():
        pass


async def test_a_registry_sees_no_more_connections_than_are_allowed(
    registry: FakeRegistry, connect: Callable[..., RegistryUpstream]
) -> None:
    digest = registry.content.add_blob("app", b"layer")
    hold = asyncio.Event()
    registry.misbehave("blob", Fault(hang_before_head=True, hold=hold))
    upstream = connect(registry.url, max_connections=3)

    async def download() -> None:
        async with upstream.open_blob("app", digest) as blob:
            assert [chunk async for chunk in blob.chunks()] == [b"layer"]

    async with asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(download())
        await registry.until(lambda: registry.count("blob") == 3)
        hold.set()
    assert (registry.count("blob"), registry.most_running_answers) == (12, 3)


@pytest.mark.parametrize(("max_connections", "at_once"), [(4, 3), (8, 7), (12, 10)])
async def test_downloads_leave_an_eighth_of_the_connections_to_quick_answers(
    registry: FakeRegistry, connect: Callable[..., RegistryUpstream], max_connections: int, at_once: int
) -> None:
    image = registry.content.add_image("app", "1")
    upstream = connect(registry.url, max_connections=max_connections)
    async with AsyncExitStack() as downloads:
        for _ in range(at_once):
            await downloads.enter_async_context(upstream.open_blob("app", image.config))
        waiting = asyncio.create_task(downloads.enter_async_context(upstream.open_blob("app", image.config)))
        await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            assert await upstream.tags("app") == ["1"]
        assert registry.count("blob") == at_once
        waiting.cancel()
        await asyncio.wait([waiting])
