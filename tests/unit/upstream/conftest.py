"""A scripted registry, a clock that tests turn, and the adapter between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from entrepot.config.schema import TimeoutSettings, UpstreamSettings
from entrepot.config.units import Seconds
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.certificates import Certificate, certify
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE
from entrepot.upstream.registry import RegistryUpstream

Connect = Callable[..., RegistryUpstream]

SHORT = 1.0
"""Patience with what does not come, in seconds: what does come must come within it on a busy machine too."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certify(tmp_path_factory.mktemp("server"), "server")


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(autojump=True)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def connect(clock: VirtualClock, metrics: Metrics) -> AsyncIterator[Connect]:
    """Make the adapter for endpoints given by URL; ``patience`` is every timeout, in seconds."""
    opened = []

    def connect(
        *urls: str, name: str = "fake.test", patience: float = PATIENCE, **settings: Any
    ) -> RegistryUpstream:
        timeouts = TimeoutSettings(
            connect=Seconds(PATIENCE), response=Seconds(patience), read=Seconds(patience)
        )
        given = UpstreamSettings(endpoints=urls, timeouts=timeouts, **settings)
        upstream = RegistryUpstream(name, given, clock, metrics, chance=lambda: 0.5)
        opened.append(upstream)
        return upstream

    yield connect
    for upstream in opened:
        await upstream.close()


@pytest.fixture
def upstream(registry: FakeRegistry, connect: Connect) -> RegistryUpstream:
    return connect(registry.url)
