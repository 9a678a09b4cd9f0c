from __future__ import annotations

import pytest

from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.oci.reference import (
    InvalidName,
    InvalidReference,
    Repository,
    Tag,
    check_hosted_name,
    check_name,
    parse_reference,
    split_host,
)

NAMES = [
    "a",
    "library/alpine",
    "a/b/c/d",
    "a.b_c__d-e--f",
    "docker.io/library/alpine",
    "0",
    "v2/manifests/blobs",
    "a" * 255,
]
NOT_NAMES = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/../b",
    "A",
    "a___b",
    "a..b",
    "a._b",
    "-a",
    "a-",
    "a\\b",
    "a b",
    "a\n",
    "a\x00",
    "\u00e9",
    "a%2fb",
    "a" * 256,
]
HOSTED = [
    "localhost/foo",
    "localhost:5000/foo",
    "127.0.0.1:5001/foo",
    "registry.example:443/a/b",
    "Docker.IO/library/alpine",
    "cache:5000/a",
    "[::1]:5000/a",
    "xn--bcher-kva.example/a",
]
NOT_HOSTED = [
    "localhost:5000",
    "localhost:5000/",
    "localhost:/a",
    "host:port/a",
    "host:123456/a",
    "Foo/bar",
    "a..b:1/c",
    "-a.b:1/c",
    ":5000/a",
    "host:1/A",
    "host:1//a",
    "u@host:1/a",
    "host:1:2/a",
    "[::1/a",
    "host:1/" + "a" * 249,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_specification_passes(name: str) -> None:
    assert check_name(name) == name
    assert check_hosted_name(name) == name


@pytest.mark.parametrize("name", NOT_NAMES)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        check_name(name)
    with pytest.raises(InvalidName):
        check_hosted_name(name)


@pytest.mark.parametrize("name", HOSTED)
def test_a_name_may_begin_with_a_host(name: str) -> None:
    assert check_hosted_name(name) == name


@pytest.mark.parametrize("name", NOT_HOSTED)
def test_what_only_looks_like_a_host_is_refused(name: str) -> None:
    with pytest.raises(InvalidName):
        check_hosted_name(name)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("library/alpine", (None, "library/alpine")),
        ("docker.io/library/alpine", ("docker.io", "library/alpine")),
        ("localhost/a", ("localhost", "a")),
        ("cache:5000/a/b", ("cache:5000", "a/b")),
        ("my.image", (None, "my.image")),
        ("localhost", (None, "localhost")),
        ("a/docker.io/b", (None, "a/docker.io/b")),
    ],
)
def test_a_host_is_told_by_its_dot_its_colon_or_its_name(name: str, parts: tuple[str | None, str]) -> None:
    assert split_host(name) == parts


@pytest.mark.parametrize(
    "text", ["latest", "3.19", "_x", "v1.0.0-rc.1", "A", "sha256-" + "a" * 64, "a" * 128]
)
def test_a_tag_is_read(text: str) -> None:
    assert parse_reference(text) == Tag(text)
    assert str(parse_reference(text)) == text


def test_a_digest_is_read_where_a_tag_may_stand() -> None:
    digest = Digest.of(b"")
    assert parse_reference(str(digest)) == digest


@pytest.mark.parametrize(
    "text", ["", ".", "..", ".a", "-a", "a" * 129, "a/b", "a b", "a\n", "\u00e9", "a\x00", "a+b"]
)
def test_what_is_neither_tag_nor_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        parse_reference(text)


@pytest.mark.parametrize("text", [":", "a:b", "sha256:abc", "md5:" + "0" * 32])
def test_what_holds_a_colon_is_a_digest_or_nothing(text: str) -> None:
    with pytest.raises(InvalidDigest):
        parse_reference(text)


def test_a_repository_is_written_with_its_upstream() -> None:
    assert str(Repository("docker.io", "library/alpine")) == "docker.io/library/alpine"
