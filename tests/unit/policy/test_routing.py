from __future__ import annotations

import pytest

from entrepot.oci.reference import Repository
from entrepot.policy.routing import (
    NameInvalid,
    NoSuchUpstream,
    UpstreamTable,
    resolve,
    resolve_named,
    resolve_upstream,
)

UPSTREAMS = UpstreamTable.build(
    names=["docker.io", "ghcr.io", "localhost:5000", "Registry.Example"],
    hostnames={
        "docker.cache.example": "docker.io",
        "GHCR.cache.example": "ghcr.io",
        "cache.example:5001": "localhost:5000",
    },
    default="docker.io",
)

GHCR_HEADER = "ghcr.cache.example"


@pytest.mark.parametrize(
    ("name", "upstream", "repository"),
    [
        pytest.param("library/alpine", "docker.io", "library/alpine", id="default"),
        pytest.param("alpine", "docker.io", "library/alpine", id="default-adds-library"),
        pytest.param("my.image", "docker.io", "library/my.image", id="one-component-is-no-host"),
        pytest.param("ghcr.io/owner/app", "ghcr.io", "owner/app", id="prefix"),
        pytest.param("ghcr.io/app", "ghcr.io", "app", id="only-docker.io-has-a-library"),
        pytest.param("localhost:5000/a/b", "localhost:5000", "a/b", id="prefix-with-port"),
        pytest.param("GHCR.IO/owner/app", "ghcr.io", "owner/app", id="prefix-in-capitals"),
        pytest.param("registry.example/a", "Registry.Example", "a", id="configured-in-capitals"),
        pytest.param("docker.io/alpine", "docker.io", "library/alpine", id="prefix-adds-library"),
        pytest.param("index.docker.io/alpine", "docker.io", "library/alpine", id="alias"),
        pytest.param("registry-1.docker.io/library/alpine", "docker.io", "library/alpine", id="other-alias"),
    ],
)
def test_the_name_may_begin_with_its_upstream(name: str, upstream: str, repository: str) -> None:
    assert resolve(None, None, None, name, UPSTREAMS) == Repository(upstream, repository)


@pytest.mark.parametrize(
    ("header", "upstream"),
    [
        ("docker.cache.example", "docker.io"),
        ("ghcr.cache.example", "ghcr.io"),
        ("ghcr.cache.example:8080", "ghcr.io"),
        ("GHCR.Cache.Example:443", "ghcr.io"),
        ("cache.example:5001", "localhost:5000"),
        ("cache.example", "docker.io"),
        ("cache.example:5002", "docker.io"),
        ("ghcr.io", "docker.io"),
        ("", "docker.io"),
        ("[::1]", "docker.io"),
        ("[::1]:5000", "docker.io"),
        ("..%00", "docker.io"),
    ],
)
def test_the_host_header_means_an_upstream_or_the_default(header: str, upstream: str) -> None:
    assert resolve(None, None, header, "a/b", UPSTREAMS) == Repository(upstream, "a/b")


@pytest.mark.parametrize(
    ("path_host", "ns", "header", "name", "meant"),
    [
        pytest.param("ghcr.io", "docker.io", GHCR_HEADER, "a/b", "docker.io a/b", id="ns-before-path"),
        pytest.param(
            "localhost:5000", None, GHCR_HEADER, "a/b", "localhost:5000 a/b", id="path-before-header"
        ),
        pytest.param(
            None, None, GHCR_HEADER, "localhost:5000/a", "localhost:5000 a", id="prefix-before-header"
        ),
        pytest.param(None, "", GHCR_HEADER, "a/b", "ghcr.io a/b", id="an-empty-ns-is-none"),
        pytest.param(
            None, "ghcr.io", None, "docker.io/a", "ghcr.io docker.io/a", id="ns-takes-the-name-as-is"
        ),
        pytest.param("ghcr.io", None, None, "ghcr.io/a", "ghcr.io a", id="said-twice-counts-once"),
        pytest.param(None, "docker.io", None, "index.docker.io/a", "docker.io library/a", id="by-any-name"),
        pytest.param(None, "docker.io", None, "alpine", "docker.io library/alpine", id="ns-adds-library"),
        pytest.param(None, "INDEX.docker.io", None, "a/b", "docker.io a/b", id="ns-is-an-alias"),
    ],
)
def test_what_says_more_decides(
    path_host: str | None, ns: str | None, header: str | None, name: str, meant: str
) -> None:
    assert resolve(path_host, ns, header, name, UPSTREAMS) == Repository(*meant.split())


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost", "127.0.0.1:22", "ghcr.io.", "ghcr.io:443", "169.254.169.254"]
)
def test_an_unknown_host_is_no_upstream_wherever_it_stands(host: str) -> None:
    unknown = NoSuchUpstream(host)
    assert resolve(None, host, "ghcr.cache.example", "a/b", UPSTREAMS) == unknown
    assert resolve(host, None, "ghcr.cache.example", "a/b", UPSTREAMS) == unknown
    assert resolve(None, None, "ghcr.cache.example", f"{host}/a/b", UPSTREAMS) == unknown
    assert resolve_upstream(None, host, None, UPSTREAMS) == unknown


@pytest.mark.parametrize("name", ["localhost:5000/a", "A", "", "a/../b", "a" * 249])
def test_a_name_that_is_none_at_its_upstream_is_invalid(name: str) -> None:
    answer = resolve(None, "docker.io", None, name, UPSTREAMS)
    assert isinstance(answer, NameInvalid)


def test_aliases_of_docker_hub_need_docker_hub() -> None:
    upstreams = UpstreamTable.build(["ghcr.io"], {}, "ghcr.io")
    assert resolve(None, None, None, "index.docker.io/a", upstreams) == NoSuchUpstream("index.docker.io")
    assert resolve(None, None, None, "alpine", upstreams) == Repository("ghcr.io", "alpine")


def test_an_upstream_of_an_alias_s_name_is_itself() -> None:
    upstreams = UpstreamTable.build(["docker.io", "index.docker.io"], {}, "docker.io")
    assert resolve(None, "index.docker.io", None, "a/b", upstreams) == Repository("index.docker.io", "a/b")


@pytest.mark.parametrize(
    ("path_host", "ns", "header", "upstream"),
    [
        (None, None, None, None),
        (None, None, "cache.example", None),
        (None, None, "docker.cache.example", "docker.io"),
        ("ghcr.io", None, "docker.cache.example", "ghcr.io"),
        ("ghcr.io", "localhost:5000", "docker.cache.example", "localhost:5000"),
    ],
)
def test_a_request_without_a_repository_may_name_an_upstream(
    path_host: str | None, ns: str | None, header: str | None, upstream: str | None
) -> None:
    assert resolve_upstream(path_host, ns, header, UPSTREAMS) == upstream


def test_letters_that_only_look_like_a_host_name_nobody() -> None:
    kelvin = "doc\N{KELVIN SIGN}er.io"
    assert kelvin.lower() == "docker.io"
    assert resolve(None, kelvin, None, "a/b", UPSTREAMS) == NoSuchUpstream(kelvin)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("team/app", Repository("docker.io", "team/app")),
        ("alpine", Repository("docker.io", "library/alpine")),
        ("intern", Repository("docker.io", "library/intern")),
        ("intern/app", Repository("intern", "app")),
        ("intern/team/app", Repository("intern", "team/app")),
        ("docker.io/alpine", Repository("docker.io", "library/alpine")),
        ("gone.example/app", NoSuchUpstream("gone.example")),
        ("intern/App", NameInvalid("App")),
    ],
)
def test_people_may_name_an_upstream_that_is_like_no_host(
    name: str, meant: Repository | NoSuchUpstream | NameInvalid
) -> None:
    assert resolve_named(name, UpstreamTable.build(["docker.io", "intern"], {}, "docker.io")) == meant
