"""Large downloads whose bytes are taken from the socket itself, over plain connections and over TLS."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from tests.unit.upstream.conftest import SHORT

from entrepot.errors import UpstreamDown, UpstreamTimeout
from entrepot.oci.digest import Digest
from entrepot.policy.breaker import Health
from entrepot.ports.upstream import Inflow
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.certificates import Certificate, server_context
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.registry_wire import Fault
from entrepot.testing.waiting import PATIENCE, until
from entrepot.upstream.inflow import SocketInflow
from entrepot.upstream.registry import RegistryUpstream

Connect = Callable[..., RegistryUpstream]

CONTENT = pattern("inflow", 6 << 20)
SIZE = len(CONTENT)
BLOCK = 1 << 20


@pytest.fixture(params=["plain", "TLS"])
async def registry(
    request: pytest.FixtureRequest, server: Certificate, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FakeRegistry]:
    monkeypatch.setattr("entrepot.upstream.aiohttp_transport._WORTH_DIVERTING_TLS", 4 << 20)
    async with FakeRegistry(tls=server_context(server) if request.param == "TLS" else None) as registry:
        yield registry


@pytest.fixture
def upstream(registry: FakeRegistry, connect: Connect, server: Certificate) -> RegistryUpstream:
    return connect(registry.url, ca_file=server.certificate)


@pytest.fixture
def digest(registry: FakeRegistry) -> Digest:
    return registry.content.add_blob("app", CONTENT)


async def _until_sent(registry: FakeRegistry, size: int) -> None:
    await until(lambda: registry.bytes_sent() >= size, "what the registry sends")


async def _drain(inflow: Inflow, received: bytearray) -> None:
    block = memoryview(bytearray(BLOCK))
    while await inflow.ready():
        count = await asyncio.to_thread(inflow.read_into, block)
        received += block[:count]


async def _download(upstream: RegistryUpstream, digest: Digest, start: int = 0) -> tuple[int, bytes]:
    """Return how many bytes were here when the rest was diverted, and all of them."""
    async with upstream.open_blob("app", digest, start) as blob:
        inflow = blob.divert()
        assert inflow is not None
        received = bytearray(b"".join([chunk async for chunk in blob.chunks()]))
        here = len(received)
        await _drain(inflow, received)
        return here, bytes(received)


@pytest.mark.parametrize("start", [0, 1, BLOCK])
async def test_what_comes_later_comes_from_the_socket(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest, metrics: Metrics, start: int
) -> None:
    here, received = await _download(upstream, digest, start)
    assert received == CONTENT[start:]
    assert here < len(received)
    assert metrics.received_bytes("fake.test", "blob")._value.get() == SIZE - start
    assert registry.count() == 1


async def test_nothing_is_lost_of_what_the_library_has_read_before(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    hold = asyncio.Event()
    registry.misbehave("blob", Fault(hang_after=0.5, hold=hold))
    async with upstream.open_blob("app", digest) as blob:
        await _until_sent(registry, SIZE // 2)
        hold.set()
        inflow = blob.divert()
        assert inflow is not None
        received = bytearray(b"".join([chunk async for chunk in blob.chunks()]))
        assert len(received) > 64 << 10
        await _drain(inflow, received)
    assert received == CONTENT


async def test_a_small_blob_leaves_its_connection_to_others(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    digest = registry.content.add_blob("app", CONTENT[: 3 << 20])
    async with upstream.open_blob("app", digest) as blob:
        assert blob.divert() is None
        assert b"".join([chunk async for chunk in blob.chunks()]) == CONTENT[: 3 << 20]


@pytest.mark.parametrize("fault", [Fault(no_length=True), Fault(chunked=True, no_length=True)])
async def test_a_body_without_a_length_is_left_to_the_library(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest, fault: Fault
) -> None:
    registry.misbehave("blob", fault)
    async with upstream.open_blob("app", digest) as blob:
        assert blob.divert() is None
        assert b"".join([chunk async for chunk in blob.chunks()]) == CONTENT


async def test_a_body_that_breaks_off_is_a_broken_transfer_behind_what_came(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    registry.misbehave("blob", Fault(cut_after=0.7))
    async with upstream.open_blob("app", digest) as blob:
        inflow = blob.divert()
        assert inflow is not None
        received = bytearray(b"".join([chunk async for chunk in blob.chunks()]))
        with pytest.raises(UpstreamDown, match="too early"):
            await _drain(inflow, received)
    assert received == CONTENT[: int(SIZE * 0.7)]


async def test_silence_is_a_timeout_that_the_breaker_learns_of(
    registry: FakeRegistry, connect: Connect, digest: Digest, server: Certificate
) -> None:
    upstream = connect(registry.url, patience=SHORT, ca_file=server.certificate)
    registry.misbehave("blob", Fault(hang_after=0.5))
    with pytest.raises(UpstreamTimeout, match="fell silent"):
        await _download(upstream, digest)
    assert upstream.breaker.health() is Health.DOWN


async def test_what_comes_in_drops_is_given_up() -> None:
    near, far = socket.socketpair()
    with near, far:
        inflow = SocketInflow(near.fileno(), SIZE, "registry.test", SHORT)

        async def drip() -> None:
            while True:
                far.sendall(b".")
                await asyncio.sleep(0.01)

        dripping = asyncio.create_task(drip())
        with pytest.raises(UpstreamTimeout, match="sent only"):
            await _drain(inflow, bytearray())
        dripping.cancel()
        await asyncio.wait([dripping])
        inflow.close()


async def test_leaving_early_ends_the_transfer(registry: FakeRegistry, upstream: RegistryUpstream) -> None:
    digest = registry.content.add_blob("app", bytes(64 << 20))
    async with upstream.open_blob("app", digest) as blob:
        assert blob.divert() is not None
    await registry.until(lambda: registry.running_answers == 0)
    assert registry.bytes_sent() < 32 << 20


async def test_whoever_waits_may_leave(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    registry.misbehave("blob", Fault(hang_after=0.5))
    waiting = asyncio.create_task(_download(upstream, digest))
    await _until_sent(registry, SIZE // 2)
    waiting.cancel()
    await asyncio.wait([waiting], timeout=PATIENCE)
    assert waiting.cancelled()
    await registry.until(lambda: registry.running_answers == 0)
