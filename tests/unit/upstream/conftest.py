"""A scripted registry, a clock that tests turn, and the adapter between them."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from entrepot.config.schema import TimeoutSettings, UpstreamSettings
from entrepot.config.units import Seconds
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE
from entrepot.upstream.registry import RegistryUpstream

Connect = Callable[..., RegistryUpstream]

SHORT = 1.0
"""Patience with what does not come, in seconds: what does come must come within it on a busy machine too."""


@dataclass(frozen=True)
class Certificate:
    certificate: str
    key: str


def certify(folder: Path, name: str, of: str = "IP:127.0.0.1,DNS:localhost") -> Certificate:
    """Make a certificate that signs itself, so that it is its own authority."""
    made = Certificate(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
    new = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    who = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={of}"]
    command = ["openssl", "req", *new, *who, "-keyout", made.key, "-out", made.certificate]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    return made


def server_context(server: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    return context


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
