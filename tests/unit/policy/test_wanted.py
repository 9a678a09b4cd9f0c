from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from entrepot.oci.digest import Digest
from entrepot.oci.image_reference import parse_image
from entrepot.policy.routing import NameInvalid, UpstreamTable
from entrepot.policy.wanted import Wanted, choose_repositories, choose_tags, locate

TAGS = ["1.9.0", "2.0.0", "2.1.0", "2.1.0-alpine", "2.2.0-rc.1", "latest", "nightly-1"]
DIGEST = Digest.of(b"an image")


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        ({}, TAGS),
        ({"tags": ("latest",)}, ["latest"]),
        ({"tags": ("2.*", "latest")}, ["2.0.0", "2.1.0", "2.1.0-alpine", "2.2.0-rc.1", "latest"]),
        ({"tag_regex": r"\d\.\d\.0"}, ["1.9.0", "2.0.0", "2.1.0"]),
        ({"semver": "*"}, ["1.9.0", "2.0.0", "2.1.0"]),
        ({"semver": ">=2"}, ["2.0.0", "2.1.0"]),
        ({"semver": ">=2", "exclude": ("2.0.*",)}, ["2.1.0"]),
        ({"tags": ("2.*",), "tag_regex": ".*alpine"}, ["2.1.0-alpine"]),
        ({"tags": ("none",)}, []),
    ],
)  # fmt: skip
def test_a_tag_is_chosen_that_every_filter_takes(
    choice: dict[str, tuple[str, ...]], chosen: list[str]
) -> None:
    assert (
        choose_tags(msgspec.convert({"upstream": "u", "repository": "r", **choice}, Wanted), TAGS) == chosen
    )


def test_what_zot_takes_for_versions_is_taken_by_what_the_docs_name_for_it() -> None:
    page = (Path(__file__).parents[3] / "docs/warming.md").read_text()
    (expression,) = re.findall(r"`content\[\]\.tags\.semver: true` \| `tag_regex: '([^']+)'`", page)
    versions = ["1", "v1", "3.20", "1.2.3", "v1.2.3", "1.2.3-alpine", "1.27-rc.1", "012"]
    others = ["latest", "nightly-1", "1.2.3.4", "1.2.3_4", "x1", "1-", "3.20x"]
    assert choose_tags(Wanted("u", "r", tag_regex=expression), [*versions, *others]) == versions


@pytest.mark.parametrize(
    ("wanted", "is_needed"),
    [
        (Wanted("u", "r", ("1", "2")), False),
        (Wanted("u", "r", digest=DIGEST), False),
        (Wanted("u", "r"), True),
        (Wanted("u", "r", ("1.*",)), True),
        (Wanted("u", "r", ("1",), exclude=("2",)), True),
        (Wanted("u", "r", semver="*"), True),
    ],
)
def test_only_a_choice_among_tags_needs_their_list(wanted: Wanted, *, is_needed: bool) -> None:
    assert wanted.needs_tags is is_needed


def test_a_pattern_of_repositories_matches_slashes_too() -> None:
    names = ["team/a/b", "team/a", "other/a", "team"]
    assert choose_repositories(Wanted("u", "team/*"), names) == ["team/a", "team/a/b"]


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ("alpine", Wanted("docker.io", "library/alpine", ("latest",))),
        ("owner/name:1", Wanted("docker.io", "owner/name", ("1",))),
        ("docker.io/alpine:3.*", Wanted("docker.io", "library/alpine", ("3.*",))),
        ("index.docker.io/alpine", Wanted("docker.io", "library/alpine", ("latest",))),
        (f"ghcr.io/o/n:v1@{DIGEST}", Wanted("ghcr.io", "o/n", digest=DIGEST)),
        ("elsewhere.example/n", Wanted("elsewhere.example", "n", ("latest",))),
        ("intern/n:1", Wanted("intern", "n", ("1",))),
        (f"ghcr.io/{'a' * 247}", Wanted("ghcr.io", "a" * 247, ("latest",))),
    ],
)
def test_an_image_is_located_as_workloads_mean_it(image: str, wanted: Wanted) -> None:
    table = UpstreamTable.build(["docker.io", "ghcr.io", "intern"], {}, "ghcr.io")
    assert locate(parse_image(image), table) == wanted


def test_a_name_that_is_too_long_once_it_is_whole_is_none() -> None:
    table = UpstreamTable.build(["docker.io"], {}, "docker.io")
    assert locate(parse_image("a" * 250), table) == NameInvalid(f"library/{'a' * 250}")


def test_without_docker_hub_a_short_name_means_the_default_upstream() -> None:
    table = UpstreamTable.build(["ghcr.io"], {}, "ghcr.io")
    assert locate(parse_image("o/n"), table) == Wanted("ghcr.io", "o/n", ("latest",))


def test_what_is_wanted_is_written_as_images_are() -> None:
    assert str(Wanted("docker.io", "library/a", ("1", "2.*"))) == "docker.io/library/a:1,2.*"
    assert str(Wanted("docker.io", "library/a")) == "docker.io/library/a:*"
    assert str(Wanted("ghcr.io", "o/n", digest=DIGEST)) == f"ghcr.io/o/n@{DIGEST}"
