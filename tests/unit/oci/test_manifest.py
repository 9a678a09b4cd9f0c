from __future__ import annotations

import json
from typing import Any

import pytest

from entrepot.oci.descriptor import Descriptor
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks, read_links

A, B, C = (Digest.of(content) for content in (b"a", b"b", b"c"))


def _descriptor(digest: Digest, **members: Any) -> dict[str, Any]:
    return {"digest": str(digest), **members}


def _read(document: Any) -> ManifestLinks:
    return read_links(json.dumps(document).encode())


def test_an_image_links_to_its_config_its_layers_and_its_subject() -> None:
    links = _read(
        {
            "config": _descriptor(A, size=1, mediaType="application/json"),
            "layers": [_descriptor(B, size=2), _descriptor(C)],
            "subject": _descriptor(C, size=3),
        }
    )
    assert links == ManifestLinks(
        blobs=(Descriptor(A, 1, "application/json"), Descriptor(B, 2), Descriptor(C)),
        subject=Descriptor(C, 3),
    )


def test_an_index_links_to_its_children() -> None:
    links = _read({"manifests": [_descriptor(A, size=1), _descriptor(B, size=2)]})
    assert links == ManifestLinks(children=(Descriptor(A, 1), Descriptor(B, 2)))


def test_schema_1_links_to_layers_of_unknown_size() -> None:
    assert _read({"fsLayers": [{"blobSum": str(A)}, {}, None]}).blobs == (Descriptor(A),)


def test_an_artifact_links_to_its_blobs() -> None:
    assert _read({"blobs": [_descriptor(A, size=4)]}).blobs == (Descriptor(A, 4),)


@pytest.mark.parametrize("size", [-1, 1.5, "1", True, None, 2**63, 10**400])
def test_a_size_that_is_no_int64_is_not_told(size: Any) -> None:
    assert _read({"config": _descriptor(A, size=size)}).blobs == (Descriptor(A),)


@pytest.mark.parametrize("media_type", [1, None, "\ud800", "a\x00b", "\u00e9"])
def test_a_media_type_that_is_no_printable_ascii_is_not_told(media_type: Any) -> None:
    assert _read({"config": _descriptor(A, mediaType=media_type)}).blobs == (Descriptor(A),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{}",
        b"[" * 100_000,
        b'{"layers": ' + b"9" * 5000 + b"}",
        b'{"config": [], "layers": {}, "manifests": "x", "subject": 1}',
        b'{"layers": [null, 1, "x", [], {}, {"digest": 1}, {"digest": "sha256:x"}]}',
    ],
    ids=lambda content: content[:20],
)
def test_what_is_no_manifest_links_to_nothing(content: bytes) -> None:
    assert read_links(content) == ManifestLinks()
