"""An upstream's failure is invisible for what is cached, and honestly reported for what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.oci.digest import Digest
from entrepot.testing.exchange import Reply, ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.programs import CacheProgram
from entrepot.testing.registry_wire import Fault
from entrepot.testing.waiting import wait_until

LAYER = pattern("failing", 1 << 20)
TAG = "/v2/library/app/manifests/1"
DIGEST = Digest.of(LAYER)
BLOB = f"/v2/library/app/blobs/{DIGEST}"
UNKNOWN_TAG = "/v2/library/app/manifests/2"
UNKNOWN_BLOB = f"/v2/library/app/blobs/sha256:{'7' * 64}"

FAULTS = {
    "hangs": Fault(hang_before_head=True),
    "is overloaded": Fault(status=429, headers={"Retry-After": "60"}),
    "fails": Fault(status=500),
    "is unavailable": Fault(status=503),
    "wants a credential": Fault(status=401),
    "forbids": Fault(status=403),
    "speaks no HTTP": Fault(raw=b"SSH-2.0-OpenSSH_9.2\r\n"),
    "hangs up": Fault(raw=b""),
}


@pytest.fixture
def cache(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> CacheProgram:
    """A cache that believes no tag without asking, and asks no longer than it must."""
    settings = {
        "endpoints": [upstream.url],
        "freshness": {"fresh_for": "0s"},
        "timeouts": {"connect": "2s", "response": "3s", "read": "3s"},
    }
    return launch(CacheProgram(folder / "cache", {"docker.io": settings}))


def _warm(cache: CacheProgram, upstream: FakeRegistry) -> bytes:
    image = upstream.content.add_image("library/app", "1", layers=[LAYER])
    assert ask(cache.url, TAG).body == image.content
    assert ask(cache.url, BLOB).digest == DIGEST
    return image.content


def _is_an_error(reply: Reply) -> bool:
    return reply.status >= 400 and b'"errors"' in reply.body


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_is_cached_is_served_as_if_nothing_were(
    cache: CacheProgram, upstream: FakeRegistry, fault: Fault
) -> None:
    manifest = _warm(cache, upstream)
    upstream.misbehave("any", fault)
    for _ in range(3):
        reply = ask(cache.url, TAG)
        assert (reply.status, reply.body) == (200, manifest)
        assert reply.headers["warning"].startswith("299")
        assert int(reply.headers["age"]) >= 0
    by_digest = f"/v2/library/app/manifests/{Digest.of(manifest)}"
    assert ask(cache.url, by_digest).body == manifest
    assert ask(cache.url, BLOB).digest == DIGEST


@pytest.mark.parametrize("path", [UNKNOWN_TAG, UNKNOWN_BLOB], ids=["tag", "blob"])
@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        (FAULTS["hangs"], {502, 503, 504}),
        (FAULTS["is overloaded"], {429}),
        (FAULTS["fails"], {502, 503}),
        (FAULTS["speaks no HTTP"], {502, 503}),
        (Fault(status=401), {401, 403}),
        (Fault(status=403), {403}),
        (Fault(status=404), {404}),
    ],
    ids=["hang", "429", "500", "garbage", "401", "403", "404"],
)
def test_what_is_not_cached_is_an_honest_error(
    cache: CacheProgram, upstream: FakeRegistry, path: str, fault: Fault, statuses: set[int]
) -> None:
    upstream.content.add_image("library/app", "1", layers=[LAYER])
    upstream.misbehave("any", fault)
    reply = ask(cache.url, path)
    assert reply.status in statuses
    assert _is_an_error(reply)
    if reply.status == 429:
        assert 0 < int(reply.headers["retry-after"]) <= 60


def test_a_hung_upstream_is_soon_not_asked_before_a_cached_answer(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    manifest = _warm(cache, upstream)
    upstream.misbehave("any", FAULTS["hangs"])
    for _ in range(5):
        assert ask(cache.url, TAG).body == manifest
    upstream.reset_counts()
    for _ in range(50):
        assert ask(cache.url, TAG).body == manifest
    assert upstream.count("manifest") <= 10  # Probes at most: one would come before each answer otherwise.


def test_an_upstream_that_asks_for_a_pause_gets_it(cache: CacheProgram, upstream: FakeRegistry) -> None:
    manifest = _warm(cache, upstream)
    upstream.misbehave("any", FAULTS["is overloaded"])
    ask(cache.url, TAG)
    upstream.reset_counts()
    for _ in range(10):
        assert ask(cache.url, TAG).body == manifest
    assert ask(cache.url, UNKNOWN_TAG).status == 429
    assert upstream.requests == []


def test_the_cache_starts_and_serves_with_every_upstream_down(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    manifest = _warm(cache, upstream)
    cache.stop()
    upstream.from_thread(upstream.stop())
    cache.start()
    for _ in range(3):
        assert ask(cache.url, TAG).body == manifest
        assert ask(cache.url, BLOB).digest == DIGEST
    assert b'"1"' in ask(cache.url, "/v2/library/app/tags/list").body
    assert b'"docker.io/library/app"' in ask(cache.url, "/v2/_catalog").body
    assert 500 <= ask(cache.url, UNKNOWN_TAG).status < 600


def test_an_upstream_that_comes_back_is_asked_again(cache: CacheProgram, upstream: FakeRegistry) -> None:
    _warm(cache, upstream)
    upstream.from_thread(upstream.stop())
    assert ask(cache.url, TAG).status == 200
    renewed = upstream.content.add_image("library/app", "1", layers=[b"renewed"])
    upstream.from_thread(upstream.start())
    wait_until(lambda: ask(cache.url, TAG).body == renewed.content, "the tag's new meaning")


def test_a_second_endpoint_serves_while_the_first_is_dead(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> None:
    image = upstream.content.add_image("library/app", "1", layers=[LAYER])
    with FakeRegistry.in_thread() as dead:
        dead.from_thread(dead.stop())
        endpoints = {"docker.io": {"endpoints": [dead.url, upstream.url]}}
        cache = launch(CacheProgram(folder / "two", endpoints))
        assert ask(cache.url, TAG).body == image.content
        assert ask(cache.url, BLOB).digest == DIGEST
