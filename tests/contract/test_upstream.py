from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from entrepot.config.schema import UpstreamSettings
from entrepot.ports.upstream import Upstream
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_auth import BearerAuth
from entrepot.testing.registry_content import RegistryContent
from entrepot.testing.upstream_contract import UpstreamContract
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.upstream.registry import RegistryUpstream


class TestRegistry(UpstreamContract):
    @pytest.fixture
    def content(self) -> RegistryContent:
        return RegistryContent()

    @pytest.fixture
    async def upstream(self, content: RegistryContent) -> AsyncIterator[Upstream]:
        async with FakeRegistry(content, auth=BearerAuth()) as registry:
            settings = UpstreamSettings(endpoints=(registry.url,))
            upstream = RegistryUpstream("fake.test", settings, VirtualClock(autojump=True), Metrics())
            yield upstream
            await upstream.close()
