from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from entrepot.errors import ManifestNotHere, RateLimited
from entrepot.oci.reference import Tag
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_wire import Fault
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.upstream.endpoint import Endpoint
from entrepot.upstream.observer import Observer
from entrepot.upstream.registry import RegistryUpstream

TAG = Tag("1")


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Find the value of the one line of ``name`` that has all of ``labels``."""
    for line in metrics.render().decode().splitlines():
        if line.startswith(f"entrepot_{name}{{") and all(
            f'{key}="{value}"' in line for key, value in labels.items()
        ):
            return float(re.split(r"} ", line)[1])
    return None


async def test_requests_are_counted_by_how_they_end(
    registry: FakeRegistry, upstream: RegistryUpstream, metrics: Metrics
) -> None:
    registry.content.add_image("app", "1")
    await upstream.get_manifest("app", TAG)
    with pytest.raises(ManifestNotHere):
        await upstream.get_manifest("app", Tag("absent"))
    registry.misbehave("manifest", Fault(status=429))
    with pytest.raises(RateLimited):
        await upstream.get_manifest("app", TAG)
    outcomes = ("ok", "not_found", "rate_limited", "timeout")
    counted = [
        _value(metrics, "upstream_requests_total", kind="manifest", outcome=outcome) for outcome in outcomes
    ]
    assert counted == [1, 1, 2, None]  # A 429 that names no pause may be one of a burst.


def test_downloads_of_an_upstream_are_shown_from_the_start(metrics: Metrics) -> None:
    Observer("fake.test", metrics)
    outcomes = ("started", "completed", "failed", "paused", "not_found")
    assert [_value(metrics, "fills_total", outcome=outcome) for outcome in outcomes] == [0, 0, 0, 0, 0]
    assert _value(metrics, "fills_running", upstream="fake.test") == 0


async def test_received_bytes_are_counted(
    registry: FakeRegistry, upstream: RegistryUpstream, metrics: Metrics
) -> None:
    digest = registry.content.add_blob("app", b"layer")
    async with upstream.open_blob("app", digest) as blob:
        assert [chunk async for chunk in blob.chunks()] == [b"layer"]
    assert _value(metrics, "received_bytes_total", kind="blob") == 5


async def test_the_rate_limit_is_shown_as_it_was_last_told(
    registry: FakeRegistry, upstream: RegistryUpstream, metrics: Metrics
) -> None:
    registry.content.add_image("app", "1")
    for left in ("99", "98"):
        registry.behaviour.headers = {
            "ratelimit-limit": "100;w=21600",
            "ratelimit-remaining": f"{left};w=21600",
        }
        await upstream.head_manifest("app", TAG)
    names = ("ratelimit_limit", "ratelimit_remaining", "ratelimit_window_seconds")
    assert [_value(metrics, name, upstream="fake.test") for name in names] == [100, 98, 21600]


async def test_when_the_window_of_a_rate_limit_has_ended_nothing_of_it_is_used_up(
    registry: FakeRegistry, connect: Callable[..., RegistryUpstream], metrics: Metrics, clock: VirtualClock
) -> None:
    registry.content.add_image("app", "1")
    registry.behaviour.headers = {"ratelimit-limit": "100;w=600", "ratelimit-remaining": "3;w=600"}
    await connect(registry.url).head_manifest("app", TAG)
    shown = []
    for seconds in (599.0, 1.0):
        clock.advance(seconds)
        shown.append(_value(metrics, "ratelimit_remaining", upstream="fake.test"))
    assert shown == [3, 100]


async def test_the_health_of_an_endpoint_follows_its_breaker(
    registry: FakeRegistry, connect: Callable[..., RegistryUpstream], metrics: Metrics, clock: VirtualClock
) -> None:
    upstream = connect(registry.url)
    registry.misbehave("manifest", Fault(status=429, headers={"Retry-After": "60"}))

    def shown() -> list[float | None]:
        names = ("endpoint_health", "endpoint_retry_seconds")
        return [_value(metrics, name, endpoint=registry.url) for name in names]

    assert shown() == [0, 0]
    with pytest.raises(RateLimited):
        await upstream.get_manifest("app", TAG)
    assert shown() == [2, 60]
    clock.advance(60)
    assert shown() == [0, 0]


async def test_those_who_wait_for_a_connection_are_shown(metrics: Metrics, clock: VirtualClock) -> None:
    endpoint = Endpoint("https://a.test", clock, 8)
    Observer("fake.test", metrics).watch(endpoint)

    def waiting() -> float | None:
        return _value(metrics, "endpoint_waiting_requests", endpoint="https://a.test")

    async def ask(*, for_download: bool) -> None:
        async with endpoint.place(for_download=for_download):
            await asyncio.sleep(3600)

    asked = [asyncio.create_task(ask(for_download=number < 9)) for number in range(12)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waiting() == 4
    for task in asked:
        task.cancel()
    await asyncio.wait(asked)
    assert waiting() == 0


async def test_the_log_tells_once_that_an_endpoint_fails_and_once_that_it_is_back(
    registry: FakeRegistry, connect: Callable[..., RegistryUpstream], clock: VirtualClock
) -> None:
    registry.content.add_image("app", "1")
    upstream = connect(registry.url)
    registry.misbehave("manifest", Fault(status=429, headers={"Retry-After": "60"}), times=2)
    with capture_logs() as lines:
        for _ in range(2):
            with pytest.raises(RateLimited):
                await upstream.get_manifest("app", TAG)
        clock.advance(60)
        with pytest.raises(RateLimited):
            await upstream.get_manifest("app", TAG)
        clock.advance(60)
        for _ in range(2):
            await upstream.get_manifest("app", TAG)
    down, up = lines
    named = {"upstream": "fake.test", "endpoint": registry.url}
    assert "too many requests" in down.pop("reason")
    assert down == {"event": "endpoint_down", "log_level": "warning", "retry_after": 60.0, **named}
    assert up == {"event": "endpoint_up", "log_level": "info", **named}
