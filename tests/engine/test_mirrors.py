"""A fill whose upstream is a real adapter with two endpoints."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
from tests.engine.conftest import MIB, Yard

from entrepot.config.schema import UpstreamSettings
from entrepot.engine.fetch import Source
from entrepot.oci.reference import Repository
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_wire import Fault
from entrepot.upstream.registry import RegistryUpstream

CONTENT = random.Random(8).randbytes(4 * MIB)


@pytest.fixture
async def first() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry() as first:
        yield first


@pytest.fixture
async def second(first: FakeRegistry) -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry(first.content) as second:
        yield second


@pytest.fixture
async def source(yard: Yard, first: FakeRegistry, second: FakeRegistry) -> AsyncIterator[Source]:
    settings = UpstreamSettings(endpoints=(first.url, second.url))
    upstream = RegistryUpstream("fake.test", settings, yard.clock, Metrics())
    yield Source(upstream, Repository("fake.test", "app"), first.content.add_blob("app", CONTENT))
    await yard.close()
    await upstream.close()


async def test_who_errs_in_a_part_costs_the_others_no_whole(
    yard: Yard, first: FakeRegistry, second: FakeRegistry, source: Source
) -> None:
    wrong = {"Content-Range": f"bytes {MIB}-{2 * MIB - 1}/{len(CONTENT) + 7}"}
    first.misbehave("blob", Fault(body=CONTENT[MIB : 2 * MIB], headers=wrong))
    assert await yard.read(source, MIB, MIB + 100, size=len(CONTENT)) == CONTENT[MIB : MIB + 100]
    assert _ranges(first) == _ranges(second) == [f"bytes={MIB}-{2 * MIB - 1}"]


async def test_who_erred_in_a_part_is_asked_for_the_whole(
    yard: Yard, first: FakeRegistry, second: FakeRegistry, source: Source
) -> None:
    wrong = {"Content-Range": f"bytes {MIB}-{2 * MIB - 1}/{len(CONTENT) + 7}"}
    first.misbehave("blob", Fault(body=CONTENT[MIB : 2 * MIB], headers=wrong), times=1)
    second.misbehave("blob", Fault(status=404))
    assert await yard.read(source, MIB, MIB + 100, size=len(CONTENT)) == CONTENT[MIB : MIB + 100]
    assert _ranges(first) == [f"bytes={MIB}-{2 * MIB - 1}", None]


def _ranges(registry: FakeRegistry) -> list[str | None]:
    return [request.headers.get("range") for request in registry.requests if request.kind == "blob"]
