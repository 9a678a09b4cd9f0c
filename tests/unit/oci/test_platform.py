from __future__ import annotations

import pytest

from entrepot.oci.platform import InvalidPlatform, Platform, parse_platform, platform_of, takes


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/amd64/v1", Platform("linux", "amd64")),
        ("linux/amd64/v3", Platform("linux", "amd64", "v3")),
        ("linux/arm64/v8", Platform("linux", "arm64")),
        ("linux/arm/v7", Platform("linux", "arm", "v7")),
        ("windows/amd64", Platform("windows", "amd64")),
    ],
)
def test_a_platform_is_read_with_its_usual_variant_left_out(text: str, platform: Platform) -> None:
    assert parse_platform(text) == platform


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "Linux/amd64", "all"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    with pytest.raises(InvalidPlatform, match="such as linux/amd64"):
        parse_platform(text)


@pytest.mark.parametrize(
    ("chosen", "platform", "is_taken"),
    [
        ([], "linux/s390x", True),
        (["linux/amd64"], "linux/amd64", True),
        (["linux/amd64"], "linux/amd64/v3", True),
        (["linux/amd64/v3"], "linux/amd64", False),
        (["linux/arm64"], "linux/arm64/v8", True),
        (["linux/arm64/v8"], "linux/arm64", True),
        (["linux/arm"], "linux/arm/v6", True),
        (["linux/arm/v7"], "linux/arm/v6", False),
        (["linux/amd64", "linux/arm64"], "linux/arm64", True),
        (["linux/amd64"], "windows/amd64", False),
        (["linux/amd64"], "unknown/unknown", False),
    ],
)
def test_a_choice_takes_the_variants_it_leaves_open(
    chosen: list[str], platform: str, *, is_taken: bool
) -> None:
    assert takes([parse_platform(text) for text in chosen], parse_platform(platform)) is is_taken


def test_a_manifest_that_tells_no_platform_may_be_for_any() -> None:
    assert takes([Platform("linux", "amd64")], None)


@pytest.mark.parametrize(
    ("member", "platform"),
    [
        ({"os": "linux", "architecture": "arm64", "variant": "v8"}, Platform("linux", "arm64")),
        ({"os": "linux", "architecture": "arm", "variant": 7}, Platform("linux", "arm")),
        ({"os": "linux"}, None),
        ({"os": 1, "architecture": "amd64"}, None),
        (None, None),
        ("linux/amd64", None),
    ],
)
def test_a_descriptors_platform_is_read_tolerantly(member: object, platform: Platform | None) -> None:
    assert platform_of(member) == platform
