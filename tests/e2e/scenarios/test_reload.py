"""SIGHUP re-reads the settings; wrong ones are refused and the old ones stay."""

from __future__ import annotations

from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.programs import CacheProgram
from entrepot.testing.waiting import wait_until

NEW = "/v2/registry.example.test/team/tool/manifests/1"
OLD = "/v2/docker.io/library/app/manifests/1"


def test_a_new_upstream_is_served_after_a_reload_without_a_restart(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    image = upstream.content.add_image("team/tool", "1")
    assert ask(cache.url, NEW).status == 404
    cache.configure({"docker.io": upstream.url, "registry.example.test": upstream.url})
    cache.reload()
    wait_until(lambda: ask(cache.url, NEW).body == image.content, "the new upstream")
    assert cache.running


def test_wrong_settings_are_refused_and_the_old_ones_stay(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    image = upstream.content.add_image("library/app", "1")
    size = cache.log.stat().st_size
    cache.config.write_text("upstreams: {docker.io: {endpoint: misspelt}}\n")
    cache.reload()
    wait_until(lambda: "endpoint" in cache.log.read_text()[size:], "a complaint that names the key")
    assert ask(cache.url, OLD).body == image.content
    assert cache.running
