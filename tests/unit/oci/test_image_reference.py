from __future__ import annotations

import re

import pytest

from entrepot.oci.digest import Digest
from entrepot.oci.image_reference import IMAGE, ImageReference, InvalidImage, parse_image

DIGEST = Digest.of(b"an image")


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("alpine", ImageReference("alpine")),
        ("alpine:3.20", ImageReference("alpine", "3.20")),
        ("library/alpine:3", ImageReference("library/alpine", "3")),
        ("ghcr.io/owner/name", ImageReference("ghcr.io/owner/name")),
        ("ghcr.io/owner/name:v1", ImageReference("ghcr.io/owner/name", "v1")),
        ("localhost:5000/name", ImageReference("localhost:5000/name")),
        ("localhost:5000/name:1", ImageReference("localhost:5000/name", "1")),
        ("[::1]:5000/name", ImageReference("[::1]:5000/name")),
        (f"alpine@{DIGEST}", ImageReference("alpine", digest=DIGEST)),
        (f"ghcr.io/o/n:v1@{DIGEST}", ImageReference("ghcr.io/o/n", "v1", DIGEST)),
        ("nginx:1.2?", ImageReference("nginx", "1.2?")),
        ("nginx:1.*-alpine", ImageReference("nginx", "1.*-alpine")),
        ("nginx:v[12]", ImageReference("nginx", "v[12]")),
    ],
)
def test_images_are_read_as_docker_names_them(text: str, image: ImageReference) -> None:
    assert parse_image(text) == image
    assert re.fullmatch(IMAGE, text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no repository's name"),
        ("Alpine", "no repository's name"),
        ("alpine:", "is no tag"),
        ("alpine:-1", "is no tag"),
        ("alpine:a b*", "is no tag"),
        ("alpine@", "no sha256 or sha512 digest"),
        ("alpine@sha256:1", "no sha256 or sha512 digest"),
        ("https://ghcr.io/o/n", "no repository's name"),
        ("${IMAGE}", "no repository's name"),
        ("ghcr.io/*:latest", "no repository's name"),
    ],
)
def test_what_names_no_image_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidImage, match=reason):
        parse_image(text)
    assert re.fullmatch(IMAGE, text) is None
