from __future__ import annotations

import pytest

from entrepot.policy.versions import InvalidRange, parse_range, parse_version

IN_ORDER = [
    "0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
    "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0",
]  # fmt: skip


def test_versions_have_the_precedence_of_the_specification() -> None:
    versions = [parse_version(tag) for tag in IN_ORDER]
    assert all(version is not None for version in versions)
    assert sorted(filter(None, reversed(versions))) == versions


@pytest.mark.parametrize("tag", ["1.2.3", "v1.2.3", "1.2.3-rc.1", "0.0.0", "1.2.3-alpine3.20"])
def test_a_tag_of_three_numbers_is_a_version(tag: str) -> None:
    assert parse_version(tag) is not None


@pytest.mark.parametrize(
    "tag", ["latest", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "v", "1.2.3-", "V1.2.3", ""]
)
def test_other_tags_are_none(tag: str) -> None:
    assert parse_version(tag) is None


@pytest.mark.parametrize(
    ("text", "taken", "left"),
    [
        ("*", "0.0.0 1.2.3 99.0.0", "1.0.0-rc.1"),
        ("1", "1.0.0 1.9.9", "0.9.9 2.0.0 1.5.0-rc.1"),
        ("1.2", "1.2.0 1.2.9", "1.1.9 1.3.0"),
        ("1.2.x", "1.2.0 1.2.9", "1.3.0"),
        ("1.2.3", "1.2.3 v1.2.3", "1.2.4 1.2.3-rc.1"),
        ("=1.2.3", "1.2.3", "1.2.4"),
        (">=1.2 <2", "1.2.0 1.99.0", "1.1.9 2.0.0 2.0.0-rc.1"),
        (">= 1.2, < 2", "1.2.0 1.99.0", "1.1.9 2.0.0"),
        (">1.2", "1.3.0", "1.2.9"),
        (">1.2.3", "1.2.4", "1.2.3"),
        ("<=1.2", "1.2.9", "1.3.0"),
        ("<=1.2.3", "1.2.3", "1.2.4"),
        ("<1.2", "1.1.9", "1.2.0"),
        ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"),
        ("~1.2", "1.2.0 1.2.9", "1.3.0"),
        ("~1", "1.0.0 1.9.0", "2.0.0"),
        ("^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3.0"),
        ("^0.0.3", "0.0.3", "0.0.4"),
        ("^0.0", "0.0.9", "0.1.0"),
        ("^0", "0.9.0", "1.0.0"),
        ("^1.2.3-rc.1", "1.2.3-rc.1 1.2.3-rc.2 1.2.3 1.3.0", "1.2.3-beta 1.3.0-rc.1 2.0.0"),
        ("1.2 || >=3", "1.2.5 3.0.0 4.1.0", "1.3.0 2.0.0"),
        ("v1.2", "1.2.0", "1.3.0"),
    ],
)  # fmt: skip
def test_a_range_takes_what_npm_would(text: str, taken: str, left: str) -> None:
    versions = parse_range(text)
    for tags, expected in ((taken, True), (left, False)):
        for tag in tags.split():
            version = parse_version(tag)
            assert version is not None
            assert versions.takes(version) is expected, tag


@pytest.mark.parametrize(
    "text", ["", "latest", ">=", "1.2 ||", "1.2.3.4", ">=1.2 and <2", "1.2<2", "==1", "1..2"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidRange, match="expected a range of versions"):
        parse_range(text)
