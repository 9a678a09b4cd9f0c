"""The count gate: what a pull costs the upstream, to the request and the byte."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.programs import CacheProgram
from entrepot.testing.registry_auth import BearerAuth
from entrepot.testing.registry_content import Image

LAYERS = [pattern(f"layer {number}", 300_000) for number in range(7)]
TAG = "/v2/library/app/manifests/1"


@pytest.fixture
def image(upstream: FakeRegistry) -> Image:
    upstream.auth = BearerAuth()
    return upstream.content.add_image("library/app", "1", layers=LAYERS)


def _pull(cache: CacheProgram, image: Image) -> None:
    """Ask what containerd asks: the tag's digest, the manifest by it, then all blobs at once."""
    head = ask(cache.url, TAG, method="HEAD")
    assert head.headers["docker-content-digest"] == str(image.digest)
    assert ask(cache.url, f"/v2/library/app/manifests/{image.digest}").body == image.content
    with ThreadPoolExecutor(4) as clients:
        paths = [f"/v2/library/app/blobs/{digest}" for digest in (image.config, *image.layers)]
        replies = list(clients.map(lambda path: ask(cache.url, path), paths))
    assert [reply.digest for reply in replies[1:]] == list(image.layers)


def test_a_first_pull_of_k_layers_costs_at_most_k_plus_five_requests_and_each_byte_once(
    cache: CacheProgram, upstream: FakeRegistry, image: Image
) -> None:
    _pull(cache, image)
    assert upstream.count() <= len(LAYERS) + 5
    assert upstream.count("token") == 1
    assert upstream.bytes_sent("blob") == sum(map(len, LAYERS)) + len(b"{}")


def test_a_second_pull_costs_nothing(cache: CacheProgram, upstream: FakeRegistry, image: Image) -> None:
    _pull(cache, image)
    upstream.reset_counts()
    for _ in range(10):
        _pull(cache, image)
    assert upstream.requests == []


def test_fifty_clients_of_a_cold_image_cost_what_one_costs(
    cache: CacheProgram, upstream: FakeRegistry, image: Image
) -> None:
    with ThreadPoolExecutor(50) as clients:
        for _ in clients.map(lambda _: _pull(cache, image), range(50)):
            pass
    assert upstream.count() <= len(LAYERS) + 5
    assert upstream.bytes_sent("blob") == sum(map(len, LAYERS)) + len(b"{}")


def test_a_tag_out_of_its_window_costs_one_head(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry, image: Image
) -> None:
    settings = {"endpoints": [upstream.url], "freshness": {"fresh_for": "0s"}}
    cache = launch(CacheProgram(folder / "cache", {"docker.io": settings}))
    _pull(cache, image)
    upstream.reset_counts()
    assert ask(cache.url, TAG).body == image.content
    assert [(request.method, request.kind) for request in upstream.requests] == [("HEAD", "manifest")]


def test_a_head_of_a_cold_blob_moves_no_body(
    cache: CacheProgram, upstream: FakeRegistry, image: Image
) -> None:
    reply = ask(cache.url, f"/v2/library/app/blobs/{image.layers[0]}", method="HEAD")
    assert (reply.status, reply.headers["content-length"]) == (200, str(len(LAYERS[0])))
    assert upstream.bytes_sent("blob") == 0
