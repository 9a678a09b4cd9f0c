from __future__ import annotations

import json
from typing import Any

import pytest

from entrepot.oci.digest import Digest
from entrepot.oci.media_type import OCI_INDEX
from entrepot.oci.reference import Tag, parse_reference
from entrepot.oci.referrers import (
    EMPTY_INDEX,
    InvalidIndex,
    attachment_tags,
    fallback_tag,
    filter_referrers,
    is_attachment_tag,
    is_signature,
    merge_referrers,
    read_referrers,
)

A, B, C = (str(Digest.of(content)) for content in (b"a", b"b", b"c"))


def _index(*manifests: Any, **members: Any) -> bytes:
    return json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests, **members}
    ).encode()


def _digests(index: bytes) -> list[str]:
    return [manifest["digest"] for manifest in json.loads(index)["manifests"]]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_fallback_tag_is_a_tag(algorithm: str) -> None:
    digest = Digest.of(b"subject", algorithm)
    tag = fallback_tag(digest)
    assert tag == f"{algorithm}-{digest.hex[:64]}"
    assert parse_reference(tag) == Tag(tag)


def test_attachments_of_cosign_are_tags_and_known_as_such() -> None:
    digest = Digest.of(b"subject")
    tags = attachment_tags(digest)
    assert tags == [f"sha256-{digest.hex}.{kind}" for kind in ("sig", "att", "sbom")]
    assert [is_attachment_tag(tag) for tag in (*tags, fallback_tag(digest))] == [True] * 4
    assert [is_signature(tag) for tag in tags] == [True, False, False]
    others = ("sha256", "sha256-abc.sig", f"sha256-{digest.hex}.tar", f"v1-sha256-{digest.hex}", "1.0.sig")
    assert not any(map(is_attachment_tag, others))


@pytest.mark.parametrize(
    ("artifact_type", "signs"),
    [
        ("application/vnd.cncf.notary.signature", True),
        ("application/vnd.dev.cosign.artifact.sig.v1+json", True),
        ("application/vnd.dev.sigstore.bundle.v0.3+json", True),
        ("application/spdx+json", False),
        ("", False),
    ],
)
def test_signatures_are_known_by_their_types(artifact_type: str, *, signs: bool) -> None:
    assert is_signature(artifact_type) is signs


def test_a_list_tells_digests_and_types() -> None:
    index = _index({"digest": A, "artifactType": "sbom"}, {"digest": B})
    assert read_referrers(index) == [(Digest.parse(A), "sbom"), (Digest.parse(B), "")]


def test_the_empty_list_is_an_index() -> None:
    assert json.loads(EMPTY_INDEX) == {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}


def test_a_filter_keeps_one_type_and_the_rest_of_the_index() -> None:
    index = _index(
        {"digest": A, "artifactType": "sbom", "annotations": {"k": "v"}},
        {"digest": B, "artifactType": "signature"},
        {"digest": C},
        annotations={"of": "the index"},
    )
    filtered = filter_referrers(index, "sbom")
    assert _digests(filtered) == [A]
    assert json.loads(filtered)["annotations"] == {"of": "the index"}
    assert json.loads(filtered)["manifests"][0]["annotations"] == {"k": "v"}
    assert _digests(filter_referrers(index, "unheard of")) == []


def test_no_filter_changes_no_byte() -> None:
    index = _index({"digest": A, "artifactType": "sbom"})
    assert filter_referrers(index, None) == index


def test_pages_are_joined_in_order_without_doubles() -> None:
    merged = merge_referrers([_index({"digest": A}, {"digest": B}), _index({"digest": B}, {"digest": C})])
    assert _digests(merged) == [A, B, C]


def test_a_referrer_listed_twice_is_as_it_was_listed_first() -> None:
    merged = merge_referrers([_index({"digest": A, "artifactType": "x"}), _index({"digest": A})])
    assert json.loads(merged)["manifests"] == [{"digest": A, "artifactType": "x"}]


def test_no_pages_are_an_empty_list() -> None:
    assert json.loads(merge_referrers([])) == json.loads(EMPTY_INDEX)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b"<html>",
        b'{"manifests": null}',
        b'{"manifests": {}}',
        b'{"manifests": [1]}',
        b'{"manifests": [{}]}',
        b'{"manifests": [{"digest": "sha256:x"}]}',
        b'{"manifests": [{"digest": "\xff"}]}',
        b'{"manifests": [], "\xff": 1}',
        b'{"manifests": [], "annotations": {"x": "\xff"}}',
        b'{"manifests": [], "deep": ' + b"[" * 100_000,
        f'{{"manifests": [{{"digest": "{A}", "artifactType": 1}}]}}'.encode(),
    ],
    ids=lambda content: content[:30],
)
def test_what_is_no_index_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidIndex):
        filter_referrers(content, None)
    with pytest.raises(InvalidIndex):
        merge_referrers([EMPTY_INDEX, content])
