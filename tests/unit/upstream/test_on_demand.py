from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable

from entrepot.oci.reference import Tag
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.upstream.registry import RegistryUpstream


def test_an_upstream_that_is_not_asked_needs_no_library_until_it_is_loaded() -> None:
    script = """
import asyncio, sys
from entrepot.config.schema import UpstreamSettings
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.upstream.on_demand import load_transport
from entrepot.upstream.registry import RegistryUpstream

RegistryUpstream("a.example", UpstreamSettings(), VirtualClock(), Metrics())
print("aiohttp" in sys.modules)
asyncio.run(load_transport())
print("aiohttp" in sys.modules)
"""
    command = [sys.executable, "-c", script]
    told = subprocess.run(command, capture_output=True, check=True, timeout=60, text=True).stdout
    assert told.split() == ["False", "True"]


async def test_all_who_ask_first_are_answered_through_one_pool(
    registry: FakeRegistry, connect: Callable[..., RegistryUpstream]
) -> None:
    registry.content.add_image("app", "1")
    upstream = connect(registry.url)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(upstream.head_manifest("app", Tag("1"))) for _ in range(5)]
    assert len({head.result().digest for head in asked}) == 1
    await upstream.close()
    await registry.until(lambda: registry.open_connections == 0)
