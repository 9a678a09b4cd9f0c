"""Rules of an upstream: what they remove, and what they protect, while the real cache runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrepot.oci.digest import Digest
from entrepot.storage.layout import blob_path
from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.programs import CacheProgram
from entrepot.testing.registry_content import Image
from entrepot.testing.waiting import wait_until

MIB = 1 << 20

Start = Callable[..., CacheProgram]


@pytest.fixture
def start(folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry) -> Start:
    """Start a cache with rules for docker.io; ``cache`` is the section of that name."""

    def start(*, cache: dict[str, Any] | None = None, **rules: Any) -> CacheProgram:
        configured: dict[str, Any] = {"endpoints": [upstream.url], **rules}
        upstreams: dict[str, Any] = {"docker.io": configured, "ghcr.io": upstream.url}
        return launch(CacheProgram(folder / "cache", upstreams, cache=cache or {}))

    return start


def _pull(cache: CacheProgram, upstream: FakeRegistry, repository: str, tag: str = "1") -> Image:
    """Publish an image with one layer of its own, and pull it: readers do not wait for it to be kept."""
    name = repository.split("/", 1)[1]
    layer = pattern(f"{repository}:{tag}", 2 * MIB)
    image = upstream.content.add_image(name, tag, layers=[layer])
    assert ask(cache.url, f"/v2/{repository}/manifests/{tag}").body == image.content
    for digest in (image.config, *image.layers):
        assert ask(cache.url, f"/v2/{repository}/blobs/{digest}").digest == digest
    wait_until(lambda: _is_kept(cache, image.layers[0]), "the layer to be kept")
    return image


def _is_kept(cache: CacheProgram, digest: Digest) -> bool:
    return (cache.data / blob_path(digest)).exists()


def test_what_is_not_used_for_its_time_goes_and_what_is_used_stays(
    start: Start, upstream: FakeRegistry
) -> None:
    cache = start(retention={"keep_for": "4s"})
    unused = _pull(cache, upstream, "docker.io/library/unused").layers[0]
    used = _pull(cache, upstream, "docker.io/library/used").layers[0]
    other = _pull(cache, upstream, "ghcr.io/team/other").layers[0]

    def is_gone() -> bool:
        assert ask(cache.url, f"/v2/docker.io/library/used/blobs/{used}").status == 200
        return not _is_kept(cache, unused)

    wait_until(is_gone, "what nobody uses to go")
    assert _is_kept(cache, used)
    assert _is_kept(cache, other)
    upstream.reset_counts()
    assert ask(cache.url, f"/v2/docker.io/library/used/blobs/{used}").digest == used
    assert upstream.count("blob") == 0
    assert ask(cache.url, f"/v2/docker.io/library/unused/blobs/{unused}").digest == unused
    assert upstream.count("blob") > 0


def test_what_was_fetched_too_long_ago_goes_though_it_is_used(start: Start, upstream: FakeRegistry) -> None:
    cache = start(
        retention_rules=[{"repositories": "*/nightly", "expire_after": "2s"}],
        freshness={"fresh_for": "1h"},
    )
    kept = _pull(cache, upstream, "docker.io/team/release").layers[0]
    image = _pull(cache, upstream, "docker.io/team/nightly")
    path = "/v2/docker.io/team/nightly/manifests/1"
    upstream.reset_counts()

    def is_fetched_again() -> bool:
        assert ask(cache.url, path).body == image.content
        return upstream.count("manifest") > 0

    wait_until(is_fetched_again, "the manifest to be fetched again")
    wait_until(lambda: not _is_kept(cache, image.layers[0]), "the layer to go")
    assert _is_kept(cache, kept)


def test_a_pinned_tag_outlives_any_churn_and_lets_go_when_it_moves(
    start: Start, upstream: FakeRegistry
) -> None:
    bounds = {"max_size": "32MiB", "min_free": "0"}  # Some of it goes to the database and its log.
    retention = {"pin": ["library/pinned:1*"]}
    cache = start(cache=bounds, retention=retention, freshness={"fresh_for": "0s"})
    pinned = _pull(cache, upstream, "docker.io/library/pinned", "1.2").layers[0]
    first = _pull(cache, upstream, "docker.io/library/churn", "0").layers[0]
    for number in range(1, 20):
        _pull(cache, upstream, "docker.io/library/churn", str(number))
    assert not _is_kept(cache, first)
    assert _is_kept(cache, pinned)
    upstream.from_thread(upstream.stop())
    assert ask(cache.url, "/v2/docker.io/library/pinned/manifests/1.2").status == 200
    assert ask(cache.url, f"/v2/docker.io/library/pinned/blobs/{pinned}").digest == pinned
    upstream.from_thread(upstream.start())
    moved = upstream.content.add_image("library/pinned", "1.2", layers=[pattern("moved", 2 * MIB)])
    wait_until(
        lambda: ask(cache.url, "/v2/docker.io/library/pinned/manifests/1.2").body == moved.content,
        "the tag to move",
    )
    assert ask(cache.url, f"/v2/docker.io/library/pinned/blobs/{moved.layers[0]}").status == 200
    churn = iter(range(20, 200))
    while _is_kept(cache, pinned):
        _pull(cache, upstream, "docker.io/library/churn", str(next(churn)))
    assert _is_kept(cache, moved.layers[0])


def test_rules_change_with_a_reload(start: Start, upstream: FakeRegistry) -> None:
    cache = start()
    layer = _pull(cache, upstream, "docker.io/library/app").layers[0]
    rules = {"endpoints": [upstream.url], "retention": {"keep_for": "1s"}}
    cache.configure({"docker.io": rules, "ghcr.io": upstream.url})
    cache.reload()
    wait_until(lambda: not _is_kept(cache, layer), "the layer to go")


def test_an_upstream_stays_within_its_share_and_nobody_elses_content_goes_for_it(
    start: Start, upstream: FakeRegistry
) -> None:
    cache = start(retention={"max_size": "8MiB"})
    others = [_pull(cache, upstream, "ghcr.io/team/other", str(number)).layers[0] for number in range(6)]
    own = [_pull(cache, upstream, "docker.io/library/app", str(number)).layers[0] for number in range(12)]
    assert all(_is_kept(cache, digest) for digest in others)
    # All four are layers: the config, which both upstreams hold, counts for the other.
    assert sum(_is_kept(cache, digest) for digest in own) == 4
    large = pattern("large", 9 * MIB)
    digest = upstream.content.add_image("library/large", "1", layers=[large]).layers[0]
    assert ask(cache.url, "/v2/docker.io/library/large/manifests/1").status == 200
    assert ask(cache.url, f"/v2/docker.io/library/large/blobs/{digest}").digest == digest
    assert not _is_kept(cache, digest)
    assert sum(_is_kept(cache, digest) for digest in own) == 4
