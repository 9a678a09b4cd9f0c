"""What a manifest links to: read tolerantly, because any bytes pass verbatim (image-spec)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from entrepot.oci.descriptor import Descriptor
from entrepot.oci.digest import Digest, InvalidDigest

__all__ = ["ManifestLinks", "read_links"]


@dataclass(frozen=True, slots=True)
class ManifestLinks:
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
        size, media_type = candidate.get("size"), candidate.get("mediaType")
        yield Descriptor(
            digest,
            size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
            media_type if isinstance(media_type, str) else None,
        )
