"""Lists of referrers: read, joined, filtered, written (distribution-spec, "Listing Referrers")."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.oci.media_type import OCI_INDEX

__all__ = [
    "EMPTY_INDEX",
    "InvalidIndex",
    "attachment_tags",
    "fallback_tag",
    "filter_referrers",
    "is_attachment_tag",
    "is_signature",
    "merge_referrers",
    "read_referrers",
]

EMPTY_INDEX = msgspec.json.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []})


# What cosign attaches by tags, where it does not use referrers (sigstore/cosign, "Signature Specification").
_SIGNATURE_SUFFIX = ".sig"
_SUFFIXES = (_SIGNATURE_SUFFIX, ".att", ".sbom")
_ATTACHMENT_TAG = re.compile(r"sha(?:256|512)-[0-9a-f]{64}(?:\.(?:sig|att|sbom))?")
# Notation's, cosign's, and sigstore's bundles of any version.
_SIGNATURE_TYPES = (
    "application/vnd.cncf.notary.signature",
    "application/vnd.dev.cosign.artifact.sig.",
    "application/vnd.dev.sigstore.bundle.",
)


class InvalidIndex(ValueError):
    """The content is no index: no JSON object with a list of descriptors."""


class _Referrer(msgspec.Struct, frozen=True):
    digest: str
    artifact_type: str | None = msgspec.field(default=None, name="artifactType")


def fallback_tag(subject: Digest) -> str:
    """Return the tag that holds the referrers of ``subject`` where a registry has no API for them.

    The specification cuts the algorithm to 32 characters and the hex to 64, so that it is a tag.
    """
    return f"{subject.algorithm[:32]}-{subject.hex[:64]}"


def attachment_tags(subject: Digest) -> list[str]:
    """Return the tags by which cosign attaches signatures, attestations and SBOMs."""
    return [fallback_tag(subject) + suffix for suffix in _SUFFIXES]


def is_attachment_tag(tag: str) -> bool:
    """Tell whether a tag holds what refers to an image, and is no image itself."""
    return _ATTACHMENT_TAG.fullmatch(tag) is not None


def is_signature(reference: str) -> bool:
    """Tell whether the type of an artifact, or the tag of an attachment, is that of a signature."""
    return reference.startswith(_SIGNATURE_TYPES) or reference.endswith(_SIGNATURE_SUFFIX)


def read_referrers(index: bytes) -> list[tuple[Digest, str]]:
    """Return digests and types of artifacts; raise ``InvalidIndex``."""
    _, manifests = _read(index)
    return [(Digest.parse(referrer.digest), referrer.artifact_type or "") for _, referrer in manifests]


def filter_referrers(index: bytes, artifact_type: str | None) -> bytes:
    """Keep the referrers of one type, or all for ``None``; the rest of the index passes verbatim.

    Raises ``InvalidIndex``.
    """
    members, manifests = _read(index)
    if artifact_type is None:
        return index
    kept = [raw for raw, referrer in manifests if referrer.artifact_type == artifact_type]
    return _write(members, kept)


def merge_referrers(pages: Iterable[bytes]) -> bytes:
    """Join the pages of one list, each referrer once; no pages are an empty list.

    Raises ``InvalidIndex`` where any page is none.
    """
    indexes = [_read(page) for page in pages] or [_read(EMPTY_INDEX)]
    kept: dict[str, msgspec.Raw] = {}
    for _, manifests in indexes:
        for raw, referrer in manifests:
            kept.setdefault(referrer.digest, raw)
    members, _ = indexes[0]
    return _write(members, list(kept.values()))


_Members = dict[str, msgspec.Raw]
_Manifests = list[tuple[msgspec.Raw, _Referrer]]


def _read(content: bytes) -> tuple[_Members, _Manifests]:
    """Split an index into its members and its descriptors, both verbatim."""
    try:
        members = msgspec.json.decode(content.decode(), type=dict[str, msgspec.Raw])
        manifests = msgspec.json.decode(members["manifests"], type=list[msgspec.Raw])
        referrers = [msgspec.json.decode(raw, type=_Referrer) for raw in manifests]
        for referrer in referrers:
            Digest.parse(referrer.digest)
    except (msgspec.DecodeError, KeyError, InvalidDigest, RecursionError, UnicodeDecodeError) as invalid:
        raise InvalidIndex(str(invalid)) from invalid
    return members, list(zip(manifests, referrers, strict=True))


def _write(members: _Members, manifests: list[msgspec.Raw]) -> bytes:
    return msgspec.json.encode(members | {"manifests": manifests})
