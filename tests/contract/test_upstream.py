from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrepot.config.schema import UpstreamSettings
from entrepot.ports.upstream import Upstream
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.certificates import certify, server_context
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


class TestEncryptedRegistry(UpstreamContract):
    """Over TLS, where even small blobs are taken from the socket."""

    @pytest.fixture
    def content(self) -> RegistryContent:
        return RegistryContent()

    @pytest.fixture
    async def upstream(
        self, content: RegistryContent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Upstream]:
        monkeypatch.setattr("entrepot.upstream.aiohttp_transport._WORTH_DIVERTING_TLS", 1)
        made = certify(tmp_path, "server")
        async with FakeRegistry(content, tls=server_context(made)) as registry:
            settings = UpstreamSettings(endpoints=(registry.url,), ca_file=made.certificate)
            upstream = RegistryUpstream("fake.test", settings, VirtualClock(autojump=True), Metrics())
            yield upstream
            await upstream.close()
