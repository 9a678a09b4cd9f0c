"""What names images and versions is read, or refused as it should be, whatever it holds."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from entrepot.oci.image_reference import IMAGE, InvalidImage, parse_image
from entrepot.policy.versions import InvalidRange, Version, parse_range, parse_version
from entrepot.policy.workloads import images_of_compose, images_of_kubernetes

numbers = st.integers(0, 30)
versions = st.builds(lambda a, b, c: f"{a}.{b}.{c}", numbers, numbers, numbers)
documents: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["containers", "initContainers", "volumes", "image", "services", "spec", "reference"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=30,
)


@given(st.text(max_size=30) | st.from_regex(IMAGE, fullmatch=True))
def test_what_is_taken_for_an_image_is_written_as_one(text: str) -> None:
    try:
        image = parse_image(text)
    except InvalidImage:
        return
    assert re.fullmatch(IMAGE, text)
    assert text.startswith(image.name)
    assert image.digest is None or text.endswith(str(image.digest))


@given(st.text(alphabet="0123.x*v-rc~^<>=| ,", max_size=20))
def test_any_text_is_a_range_or_none(text: str) -> None:
    try:
        versions = parse_range(text)
    except InvalidRange:
        return
    assert versions.alternatives


@given(versions, versions)
def test_a_version_is_within_bounds_as_the_order_of_versions_has_it(text: str, bound: str) -> None:
    version, other = _version(text), _version(bound)
    assert parse_range(f">={bound}").takes(version) == (version >= other)
    assert parse_range(f"<{bound}").takes(version) == (version < other)
    assert parse_range(f">{bound}").takes(version) == (version > other)
    assert parse_range(f"<={bound}").takes(version) == (version <= other)
    assert parse_range(bound).takes(version) == (version == other)


@given(versions, versions)
def test_what_is_compatible_is_not_older_and_of_one_major(text: str, base: str) -> None:
    version, other = _version(text), _version(base)
    for operator in "~^":
        if parse_range(f"{operator}{base}").takes(version):
            assert version >= other
            assert version.numbers[0] == other.numbers[0]
    if parse_range(f"~{base}").takes(version):
        assert version.numbers[:2] == other.numbers[:2]


@given(documents)
def test_any_document_names_some_images_or_none(document: Any) -> None:
    for images in (images_of_kubernetes([document]), images_of_compose(document, {})):
        assert all(image and image == image.strip() for image in images)
        assert len(set(images)) == len(images)


def _version(text: str) -> Version:
    version = parse_version(text)
    assert version is not None
    return version
