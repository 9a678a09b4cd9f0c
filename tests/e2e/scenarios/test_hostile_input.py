"""Hostile or malformed requests: a 4xx with the spec's envelope, never a 5xx, never a dial."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.programs import CacheProgram
from entrepot.testing.waiting import PATIENCE

DIGEST = "sha256:" + "0" * 64


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeRegistry]:
    with FakeRegistry.in_thread() as registry:
        yield registry


@pytest.fixture(scope="module")
def cache(upstream: FakeRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CacheProgram]:
    """One for all: none of them may do it any harm."""
    with CacheProgram(tmp_path_factory.mktemp("cache"), {"docker.io": upstream.url}) as program:
        yield program


HOSTILE = [
    "/v2/library/../../etc/passwd/manifests/1",
    "/v2/library/..%2f..%2fetc/manifests/1",
    "/v2/library/%2e%2e/app/manifests/1",
    "/v2/library/app%00/manifests/1",
    "/v2/library/app/manifests/%00",
    "/v2/library/app/manifests/..",
    "/v2/library//app/manifests/1",
    "/v2/Library/App/manifests/1",
    "/v2/library/app%20b/manifests/1",
    "/v2/library/app%ff/manifests/1",
    f"/v2/{'a' * 300}/manifests/1",
    f"/v2/{'a/' * 2000}b/manifests/1",
    f"/v2/library/app/manifests/{'t' * 129}",
    "/v2/library/app/manifests/-leading-dash",
    "/v2/library/app/manifests/sha256:short",
    f"/v2/library/app/manifests/md5:{'0' * 32}",
    "/v2/library/app/blobs/latest",
    "/v2/library/app/blobs/sha256:" + "0" * 63,
    "/v2/library/app/blobs/sha256:" + "A" * 64,
    "/v2/library/app/blobs/sha256:" + "../" * 21 + "0",
    "/v2/library/app/referrers/latest",
    "/v2/library/app/tags/list?n=minus",
    "/v2/library/app/tags/list?n=-1",
    "/v2/_catalog?n=many",
    "/v2/library/app/manifests/1?ns=unknown.example",
    "/v2/library/app/manifests/1?ns=127.0.0.1:22",
    "/v2/library/app/manifests/1?ns=http://127.0.0.1/",
    "/v2/unknown.example/app/manifests/1",
    "/v2/localhost/app/manifests/1",
    "/unknown.example/v2/app/manifests/1",
    f"/v2/unknown.example/app/blobs/{DIGEST}",
    "/v2/library/app/nonsense",
    "/v2/library/app",
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_hostile_paths_are_refused_without_asking_anyone(
    cache: CacheProgram, upstream: FakeRegistry, method: str
) -> None:
    for path in HOSTILE:
        reply = ask(cache.url, path, method=method)
        assert 400 <= reply.status < 500, path
        if method == "GET":
            (error,) = json.loads(reply.body)["errors"]
            assert {"code", "message"} <= error.keys(), path
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v2/library/app/manifests/1"),
        ("DELETE", f"/v2/library/app/manifests/{DIGEST}"),
        ("POST", "/v2/library/app/blobs/uploads/"),
        ("PATCH", "/v2/library/app/blobs/uploads/1"),
        ("DELETE", f"/v2/library/app/blobs/{DIGEST}"),
    ],
)
def test_pushes_and_deletes_are_unsupported(
    cache: CacheProgram, upstream: FakeRegistry, method: str, path: str
) -> None:
    reply = ask(cache.url, path, method=method, headers={"Content-Length": "0"})
    assert reply.status == 405
    assert json.loads(reply.body)["errors"][0]["code"] == "UNSUPPORTED"
    assert upstream.requests == []


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"nonsense\r\n\r\n", id="no HTTP"),
        pytest.param(
            b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", id="endless head"
        ),
        pytest.param(b"GET /v2/ HTTP/1.1\r\nContent-Length: -5\r\nHost: a\r\n\r\n", id="negative length"),
        pytest.param(b"GET /v2/\xff\xfe\x01 HTTP/1.1\r\nHost: a\r\n\r\n", id="bytes in the path"),
    ],
)
def test_what_is_no_request_gets_a_4xx_or_a_closed_connection_and_harms_nobody(
    cache: CacheProgram, head: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", cache.port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(head)
            answer = connection.recv(12)
        except ConnectionError:
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert ask(cache.url, "/v2/").status == 200


def test_nothing_that_clients_make_up_makes_another_series_of_metrics(cache: CacheProgram) -> None:
    seen = []
    for turn in ("one", "two"):
        for path in (
            *(f"/v2/{turn}.example/{turn}/manifests/1", f"/v2/library/{turn}/manifests/1"),
            *(f"/v2/library/app/manifests/{turn}", f"/v2/app/manifests/1?ns={turn}.example", f"/{turn}"),
            *(f"/api/v1/{turn}", f"/v2/library/app/blobs/sha256:{turn}"),
        ):
            for method in ("GET", turn.upper()):
                ask(cache.url, path, method=method, headers={"User-Agent": turn, "Host": f"{turn}.example"})
        seen.append(cache.series().keys())
    assert seen[0] == seen[1]


def test_what_is_no_request_is_counted(cache: CacheProgram) -> None:
    series = 'entrepot_refusals_total{status="400"}'
    before = cache.series().get(series, 0)
    with socket.create_connection(("127.0.0.1", cache.port), timeout=PATIENCE) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 400"
    assert cache.series()[series] == before + 1
