"""What an administrator does with a running cache, from the first start on."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrepot.testing.exchange import Reply, ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.programs import CacheProgram
from entrepot.testing.registry_content import Image

PULL = "/v2/library/app/manifests/1"
REFRESH = "/api/v1/tags/1/refresh?repository=docker.io/library/app"

Call = Callable[..., Reply]


@pytest.fixture
def call(cache: CacheProgram, token: str) -> Call:
    def call(path: str, method: str = "GET", body: Any = None) -> Reply:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        return ask(cache.url, path, method=method, headers=headers, body=content)

    return call


@pytest.fixture
def image(cache: CacheProgram, upstream: FakeRegistry) -> Image:
    image = upstream.content.add_image("library/app", "1")
    assert ask(cache.url, PULL).body == image.content
    return image


def test_the_token_is_made_once_for_its_owner_alone(cache: CacheProgram, token: str) -> None:
    file = cache.data / "admin-token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in cache.log.read_text()
    cache.restart()
    assert file.read_text().strip() == token


def test_without_the_token_nothing_is_told(cache: CacheProgram, image: Image) -> None:
    reply = ask(cache.url, "/api/v1/repositories")
    assert (reply.status, reply.headers["www-authenticate"]) == (401, 'Bearer realm="entrepot"')
    assert str(image.digest).encode() not in reply.body


def test_what_is_purged_is_fetched_again(
    cache: CacheProgram, upstream: FakeRegistry, image: Image, call: Call
) -> None:
    report = call("/api/v1/purge", "POST", {"repositories": "library/app", "dry_run": False})
    assert json.loads(report.body)["tags"] == 1
    upstream.reset_counts()
    assert ask(cache.url, PULL).body == image.content
    assert upstream.count("manifest") == 1


def test_a_refresh_sees_a_tag_that_has_moved(
    cache: CacheProgram, upstream: FakeRegistry, image: Image, call: Call
) -> None:
    moved = upstream.content.add_image("library/app", "1", layers=[b"newer"])
    assert ask(cache.url, PULL).body == image.content
    assert json.loads(call(REFRESH, "POST").body)["after"] == str(moved.digest)
    assert ask(cache.url, PULL).body == moved.content


def test_the_api_can_be_turned_off(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> None:
    cache = launch(CacheProgram(folder / "closed", {"docker.io": upstream.url}, admin={"enabled": False}))
    assert ask(cache.url, "/api/v1/docs").status == 404
    assert not (cache.data / "admin-token").exists()
