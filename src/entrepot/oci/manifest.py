"""What a manifest links to: read tolerantly, because any bytes pass verbatim (image-spec)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from entrepot.oci.descriptor import Descriptor
from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.oci.platform import platform_of

__all__ = ["ManifestLinks", "read_links"]


class ManifestLinks(Struct, frozen=True):
    """``blobs``: config and layers; ``children``: manifests of an index; ``subject``: what it refers to."""

    blobs: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None


def read_links(content: bytes) -> ManifestLinks:
    """Find the descriptors in a manifest of any known kind.

    Content that is no JSON object, and members that are no descriptors, link to
    nothing: they are the client's to judge, not the cache's.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return ManifestLinks()
    if not isinstance(document, dict):
        return ManifestLinks()
    blobs = [document.get("config"), *_items(document, "layers"), *_items(document, "blobs")]
    return ManifestLinks(
        blobs=tuple(_descriptors([*blobs, *_schema1_layers(document)])),
        children=tuple(_descriptors(_items(document, "manifests"))),
        subject=next(_descriptors([document.get("subject")]), None),
    )


def _items(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    return value if isinstance(value, list) else []


def _schema1_layers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Docker schema 1 lists ``{"blobSum": digest}`` without sizes."""
    return [
        {"digest": item.get("blobSum")} for item in _items(document, "fsLayers") if isinstance(item, dict)
    ]


def _descriptors(candidates: list[Any]) -> Iterator[Descriptor]:
    for candidate in candidates:
        if not isinstance(candidate, dict) or not isinstance(candidate.get("digest"), str):
            continue
        try:
            digest = Digest.parse(candidate["digest"])
        except InvalidDigest:
            continue
        yield Descriptor(
            digest,
            _size(candidate.get("size")),
            _media_type(candidate.get("mediaType")),
            platform_of(candidate.get("platform")),
        )


def _size(value: Any) -> int | None:
    """Take an int64, as the specification has it: larger numbers would not fit a database's column."""
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def _media_type(value: Any) -> str | None:
    """Take printable ASCII: JSON can spell text, such as half a surrogate pair, that no database takes."""
    return value if isinstance(value, str) and value.isascii() and value.isprintable() else None
