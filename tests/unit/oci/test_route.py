from __future__ import annotations

import pytest

from entrepot.oci.codes import ErrorCode
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Tag
from entrepot.oci.route import (
    Base,
    BlobRoute,
    CatalogRoute,
    Malformed,
    ManifestRoute,
    NotRegistry,
    ReferrersRoute,
    Route,
    TagsRoute,
    Unsupported,
    parse_route,
)

DIGEST = Digest.of(b"")
LATEST = Tag("latest")


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v2", Base()),
        ("/v2/", Base()),
        ("/docker.io/v2/", Base("docker.io")),
        ("/docker.io/v2", Base("docker.io")),
        ("/v2/_catalog", CatalogRoute()),
        ("/ghcr.io/v2/_catalog", CatalogRoute("ghcr.io")),
        ("/v2/alpine/manifests/latest", ManifestRoute("alpine", LATEST)),
        ("/v2/library/alpine/manifests/latest", ManifestRoute("library/alpine", LATEST)),
        (f"/v2/a/b/c/manifests/{DIGEST}", ManifestRoute("a/b/c", DIGEST)),
        (f"/v2/library/alpine/blobs/{DIGEST}", BlobRoute("library/alpine", DIGEST)),
        ("/v2/library/alpine/tags/list", TagsRoute("library/alpine")),
        (f"/v2/library/alpine/referrers/{DIGEST}", ReferrersRoute("library/alpine", DIGEST)),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_every_pull_route_is_read(method: str, path: str, route: Route) -> None:
    assert parse_route(method, path.encode()) == route


@pytest.mark.parametrize(
    "host",
    ["docker.io", "localhost", "localhost:5000", "127.0.0.1:5001", "registry.example:443", "[::1]:5000"],
)
def test_a_host_may_stand_before_the_api_or_before_the_name(host: str) -> None:
    assert parse_route("GET", f"/{host}/v2/a/b/blobs/{DIGEST}".encode()) == BlobRoute("a/b", DIGEST, host)
    assert parse_route("GET", f"/v2/{host}/a/b/blobs/{DIGEST}".encode()) == BlobRoute(f"{host}/a/b", DIGEST)


@pytest.mark.parametrize(
    "name",
    [
        "manifests",
        "manifests/manifests",
        "blobs/uploads",
        "tags/list",
        "v2",
        "v2/v2",
        "a/manifests/b",
        "a/blobs/uploads/b",
        "referrers/tags",
    ],
)
def test_a_repository_may_be_called_like_a_part_of_the_api(name: str) -> None:
    assert parse_route("GET", f"/v2/{name}/manifests/latest".encode()) == ManifestRoute(name, LATEST)
    assert parse_route("GET", f"/v2/{name}/tags/list".encode()) == TagsRoute(name)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (f"/v2/a/blobs/{DIGEST}".replace(":", "%3A"), BlobRoute("a", DIGEST)),
        (f"/v2/a/blobs/{DIGEST}".replace(":", "%3a"), BlobRoute("a", DIGEST)),
        ("/v2/localhost%3A5000/a/tags/list", TagsRoute("localhost:5000/a")),
        ("/localhost%3A5000/v2/a/tags/list", TagsRoute("a", "localhost:5000")),
        ("/v2/%61lpine/manifests/l%61test", ManifestRoute("alpine", LATEST)),
        ("/%762/", Base()),
    ],
)
def test_harmless_percent_encoding_means_what_it_encodes(path: str, route: Route) -> None:
    assert parse_route("GET", path.encode()) == route


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v2/a/manifests/latest"),
        ("DELETE", "/v2/a/manifests/latest"),
        ("DELETE", f"/v2/a/blobs/{DIGEST}"),
        ("POST", "/v2/a/blobs/uploads/"),
        ("POST", "/v2/a/blobs/uploads"),
        ("PATCH", "/v2/a/blobs/uploads/7d1e"),
        ("PUT", "/v2/a/blobs/uploads/7d1e"),
        ("GET", "/v2/a/blobs/uploads/7d1e"),
        ("POST", "/v2/"),
        ("OPTIONS", "/docker.io/v2/a/tags/list"),
        ("get", "/v2/"),
        ("", "/v2/"),
    ],
)
def test_pushes_deletions_and_strange_methods_are_unsupported(method: str, path: str) -> None:
    assert parse_route(method, path.encode()) == Unsupported()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1/",
        "/v20/",
        "/v2x",
        "v2/",
        "//v2/",
        "/metrics",
        "/healthz",
        "/api/v2/",
        "/foo/v2/a/tags/list",
        "/a/docker.io/v2/",
        "*",
        "/docker.io",
        "/\u00e9",
    ],
)
def test_what_is_not_under_the_api_is_left_to_others(path: str) -> None:
    assert parse_route("GET", path.encode()) == NotRegistry()
    assert parse_route("POST", path.encode()) == NotRegistry()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../../etc",
        "a/../b",
        "a/./b",
        "a//b",
        "/a",
        "a/",
        "A",
        "a\\b",
        "a b",
        "a\nb",
        "\u00e9",
        "%00",
        "a%00",
        "a%2Fb",
        "a%2fb",
        "%2e%2e",
        "a/%2E%2E/b",
        "%252e%252e",
        "a%0ab",
        "a%5cb",
        "a%C3%A9",
        "a%zz",
        "a%",
        "a?b",
        "a%3Fb",
        "a" * 256,
        "host:port/a",
    ],
)
@pytest.mark.parametrize("route", ["manifests/latest", f"blobs/{DIGEST}", "tags/list", f"referrers/{DIGEST}"])
def test_a_hostile_name_is_invalid(name: str, route: str) -> None:
    answer = parse_route("GET", f"/v2/{name}/{route}".encode())
    assert isinstance(answer, Malformed)
    assert answer.code is ErrorCode.NAME_INVALID


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/a/blobs/sha256:abc", ErrorCode.DIGEST_INVALID),
        ("/v2/a/blobs/latest", ErrorCode.DIGEST_INVALID),
        ("/v2/a/blobs/", ErrorCode.DIGEST_INVALID),
        ("/v2/a/blobs/uploads", ErrorCode.DIGEST_INVALID),
        ("/v2/a/referrers/latest", ErrorCode.DIGEST_INVALID),
        ("/v2/a/manifests/sha256:abc", ErrorCode.DIGEST_INVALID),
        ("/v2/a/manifests/", ErrorCode.MANIFEST_INVALID),
        ("/v2/a/manifests/..", ErrorCode.MANIFEST_INVALID),
        ("/v2/a/manifests/%00", ErrorCode.MANIFEST_INVALID),
        ("/v2/a/manifests/" + "a" * 129, ErrorCode.MANIFEST_INVALID),
        ("/v2/a/manifests/a%2Fb", ErrorCode.MANIFEST_INVALID),
        ("/v2//", ErrorCode.NAME_INVALID),
        ("/v2/../../etc/passwd", ErrorCode.NAME_INVALID),
        ("/v2/a/tags/list/", ErrorCode.NAME_INVALID),
        ("/v2/_catalog/", ErrorCode.NAME_INVALID),
        ("/v2/a", ErrorCode.NAME_UNKNOWN),
        ("/v2/a/tags", ErrorCode.NAME_UNKNOWN),
        ("/v2/a/tags/all", ErrorCode.NAME_UNKNOWN),
        ("/v2/a/b/c", ErrorCode.NAME_UNKNOWN),
        ("/v2/docker.io/v2/a", ErrorCode.NAME_UNKNOWN),
    ],
)
def test_a_malformed_path_has_the_code_of_its_first_bad_part(path: str, code: ErrorCode) -> None:
    answer = parse_route("GET", path.encode())
    assert isinstance(answer, Malformed)
    assert answer.code is code


@pytest.mark.parametrize(
    ("path", "bad"),
    [("/v2/A/tags/list", "A"), ("/v2/a/blobs/x", "x"), ("/v2/a/manifests/.", "."), ("/v2/B", "B")],
)
def test_the_detail_shows_what_is_bad(path: str, bad: str) -> None:
    answer = parse_route("GET", path.encode())
    assert isinstance(answer, Malformed)
    assert repr(bad) in answer.detail


def test_the_detail_of_an_overlong_path_is_short() -> None:
    answer = parse_route("GET", b"/v2/" + b"a" * 100_000 + b"/tags/list")
    assert isinstance(answer, Malformed)
    assert len(answer.detail) < 200
