"""What is deleted upstream stays here, unless deletions are to be followed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.programs import CacheProgram
from entrepot.testing.waiting import wait_until

TAG = "/v2/library/app/manifests/1"

Start = Callable[..., CacheProgram]


@pytest.fixture
def start(folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry) -> Start:
    """Start a cache that asks before every answer, and believes a 404 for an hour."""

    def start(**retention: Any) -> CacheProgram:
        return launch(CacheProgram(folder / "cache", {"docker.io": _settings(upstream, **retention)}))

    return start


def _settings(upstream: FakeRegistry, **retention: Any) -> dict[str, Any]:
    freshness = {"fresh_for": "0s", "stale_if_error": "1s", "not_found_for": "1h"}
    return {"endpoints": [upstream.url], "freshness": freshness, "retention": retention}


def test_a_tag_that_is_deleted_upstream_is_served_on_and_marked_as_stale(
    start: Start, upstream: FakeRegistry
) -> None:
    cache = start()
    image = upstream.content.add_image("library/app", "1")
    assert ask(cache.url, TAG).body == image.content
    upstream.content.untag("library/app", "1")
    upstream.reset_counts()
    for _ in range(5):
        reply = ask(cache.url, TAG)
        assert (reply.status, reply.body) == (200, image.content)
        assert reply.headers["warning"].startswith("299")
        assert int(reply.headers["age"]) >= 0
    # Once by HEAD, and by GET because not every registry's HEAD can be trusted; then it is believed.
    assert upstream.count("manifest") == 2


def test_where_deletions_are_followed_the_tag_is_gone_here_too(start: Start, upstream: FakeRegistry) -> None:
    cache = start(follow_deletions=True)
    image = upstream.content.add_image("library/app", "1")
    assert ask(cache.url, TAG).body == image.content
    upstream.content.untag("library/app", "1")
    for _ in range(3):
        reply = ask(cache.url, TAG)
        assert (reply.status, b"MANIFEST_UNKNOWN" in reply.body) == (404, True)
    cache.restart()
    upstream.from_thread(upstream.stop())
    assert ask(cache.url, TAG).status >= 500
    assert ask(cache.url, f"/v2/library/app/manifests/{image.digest}").body == image.content


def test_following_begins_with_a_reload(start: Start, upstream: FakeRegistry) -> None:
    cache = start()
    upstream.content.add_image("library/app", "1")
    assert ask(cache.url, TAG).status == 200
    upstream.content.untag("library/app", "1")
    assert ask(cache.url, TAG).status == 200
    cache.configure({"docker.io": _settings(upstream, follow_deletions=True)})
    cache.reload()
    wait_until(lambda: ask(cache.url, TAG).status == 404, "the deletion to be followed")
