from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest

from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_auth import BearerAuth
from entrepot.testing.registry_wire import Fault
from entrepot.testing.waiting import PATIENCE

LAYER = bytes(range(256)) * 4096


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry.in_thread() as registry:
        yield registry


class _Reply:
    def __init__(self, registry: FakeRegistry, method: str, path: str, headers: dict[str, str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=PATIENCE)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            self.status, self.headers, self.body = response.status, response.headers, response.read()
        finally:
            connection.close()


def _ask(registry: FakeRegistry, path: str, method: str = "GET", **headers: str) -> _Reply:
    return _Reply(registry, method, path, headers)


def test_an_image_can_be_pulled(registry: FakeRegistry) -> None:
    image = registry.content.add_image("library/app", "1", layers=[LAYER])
    manifest = _ask(registry, "/v2/library/app/manifests/1")
    layer = json.loads(manifest.body)["layers"][0]["digest"]
    assert manifest.headers["Docker-Content-Digest"] == str(image.digest)
    assert _ask(registry, f"/v2/library/app/blobs/{layer}").body == LAYER


def test_requests_and_bytes_are_counted(registry: FakeRegistry) -> None:
    digest = registry.content.add_blob("app", LAYER)
    _ask(registry, f"/v2/app/blobs/{digest}", "HEAD")
    _ask(registry, f"/v2/app/blobs/{digest}", Range="bytes=0-99")
    assert [registry.count("blob", method) for method in ("HEAD", "GET")] == [1, 1]
    assert registry.bytes_sent("blob") == 100


def test_a_cut_ends_the_body_where_it_was_told_to(registry: FakeRegistry) -> None:
    digest = registry.content.add_blob("app", LAYER)
    registry.misbehave("blob", Fault(cut_after=0.5), times=1)
    with pytest.raises(http.client.IncompleteRead) as caught:
        _ask(registry, f"/v2/app/blobs/{digest}")
    assert len(caught.value.partial) == len(LAYER) // 2
    assert _ask(registry, f"/v2/app/blobs/{digest}").body == LAYER


def test_a_hang_lasts_until_the_client_gives_up(registry: FakeRegistry) -> None:
    registry.misbehave("ping", Fault(hang_before_head=True))
    connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=0.1)
    connection.request("GET", "/v2/")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()


def test_chunked_and_slow_bodies_arrive_whole(registry: FakeRegistry) -> None:
    digest = registry.content.add_blob("app", LAYER)
    registry.misbehave("blob", Fault(chunked=True, bytes_per_second=50 << 20), times=1)
    assert _ask(registry, f"/v2/app/blobs/{digest}").body == LAYER


def test_a_dead_registry_refuses_and_comes_back_on_its_port(registry: FakeRegistry) -> None:
    registry.from_thread(registry.stop())
    with pytest.raises(ConnectionRefusedError):
        _ask(registry, "/v2/")
    registry.from_thread(registry.start())
    assert _ask(registry, "/v2/").status == 200


def test_a_token_opens_its_own_repository_only(registry: FakeRegistry) -> None:
    registry.content.add_image("one", "1")
    registry.content.add_image("two", "1")
    registry.auth = BearerAuth()
    challenge = _ask(registry, "/v2/one/manifests/1").headers["WWW-Authenticate"]
    assert 'scope="repository:one:pull"' in challenge
    token = json.loads(_ask(registry, "/token?scope=repository:one:pull").body)["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert _ask(registry, "/v2/one/manifests/1", **bearer).status == 200
    assert _ask(registry, "/v2/two/manifests/1", **bearer).status == 401
