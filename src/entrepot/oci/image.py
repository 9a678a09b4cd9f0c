"""What a manifest and its config say of an image, for people: read tolerantly, as its links are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from entrepot.oci.digest import Digest, InvalidDigest

__all__ = [
    "Content",
    "HistoryEntry",
    "ImageConfig",
    "ManifestDescription",
    "Platform",
    "describe_config",
    "describe_manifest",
    "describe_referrers",
]


class Platform(Struct, frozen=True, omit_defaults=True):
    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    os_version: str | None = None


class Content(Struct, frozen=True, omit_defaults=True):
    """A descriptor, as it is written in a manifest; ``size`` in bytes."""

    digest: str
    media_type: str | None = None
    size: int | None = None
    artifact_type: str | None = None
    platform: Platform | None = None
    annotations: dict[str, str] = {}


class ManifestDescription(Struct, frozen=True):
    """``platforms``: the manifests that an index names; ``layers``: blobs of an image, in order."""

    config: Content | None = None
    layers: list[Content] = []
    platforms: list[Content] = []
    subject: Content | None = None
    artifact_type: str | None = None
    annotations: dict[str, str] = {}


class HistoryEntry(Struct, frozen=True, omit_defaults=True):
    created: str | None = None
    created_by: str | None = None
    comment: str | None = None
    empty_layer: bool = False


class ImageConfig(Struct, frozen=True, omit_defaults=True):
    created: str | None = None
    author: str | None = None
    platform: Platform | None = None
    user: str | None = None
    working_dir: str | None = None
    entrypoint: list[str] = []
    cmd: list[str] = []
    env: list[str] = []
    exposed_ports: list[str] = []
    volumes: list[str] = []
    labels: dict[str, str] = {}
    history: list[HistoryEntry] = []


def describe_manifest(content: bytes) -> ManifestDescription:
    """Describe a manifest of any kind; what is no such member says nothing."""
    document = _object(content)
    layers = [*_items(document, "layers"), *_items(document, "blobs"), *_schema1_layers(document)]
    return ManifestDescription(
        config=_content(document.get("config")),
        layers=list(_contents(layers)),
        platforms=list(_contents(_items(document, "manifests"))),
        subject=_content(document.get("subject")),
        artifact_type=_text(document.get("artifactType")),
        annotations=_texts_by_name(document.get("annotations")),
    )


def describe_config(content: bytes) -> ImageConfig:
    """Describe an image's config, history included (image-spec, "Image Configuration")."""
    document = _object(content)
    inner = _mapping(document.get("config"))
    return ImageConfig(
        created=_text(document.get("created")),
        author=_text(document.get("author")),
        platform=_platform(document),
        user=_text(inner.get("User")) or None,
        working_dir=_text(inner.get("WorkingDir")) or None,
        entrypoint=_texts(inner.get("Entrypoint")),
        cmd=_texts(inner.get("Cmd")),
        env=_texts(inner.get("Env")),
        exposed_ports=list(_mapping(inner.get("ExposedPorts"))),
        volumes=list(_mapping(inner.get("Volumes"))),
        labels=_texts_by_name(inner.get("Labels")),
        history=[_entry(item) for item in _items(document, "history") if isinstance(item, dict)],
    )


def describe_referrers(index: bytes) -> list[Content]:
    return list(_contents(_items(_object(index), "manifests")))


def _object(content: bytes) -> dict[str, Any]:
    try:
        return _mapping(json.loads(content))
    except (ValueError, RecursionError):
        return {}


def _contents(candidates: list[Any]) -> Iterator[Content]:
    return (content for content in map(_content, candidates) if content is not None)


def _content(candidate: Any) -> Content | None:
    member = _mapping(candidate)
    try:
        digest = Digest.parse(str(member.get("digest")))
    except InvalidDigest:
        return None
    size = member.get("size")
    return Content(
        digest=str(digest),
        media_type=_text(member.get("mediaType")),
        size=size if type(size) is int and 0 <= size < 1 << 63 else None,
        artifact_type=_text(member.get("artifactType")),
        platform=_platform(_mapping(member.get("platform"))),
        annotations=_texts_by_name(member.get("annotations")),
    )


def _platform(document: dict[str, Any]) -> Platform | None:
    names = ("os", "architecture", "variant", "os.version")
    platform = Platform(*(_text(document.get(name)) for name in names))
    return platform if platform != Platform() else None


def _entry(item: dict[str, Any]) -> HistoryEntry:
    created, created_by, comment = (_text(item.get(name)) for name in ("created", "created_by", "comment"))
    return HistoryEntry(created, created_by, comment, empty_layer=item.get("empty_layer") is True)


def _schema1_layers(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Docker schema 1 lists its layers from the top down."""
    items = [item for item in _items(document, "fsLayers") if isinstance(item, dict)]
    return [{"digest": item.get("blobSum")} for item in reversed(items)]


def _items(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    """Take text that can be sent on: JSON can also spell half a surrogate pair."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else None


def _texts(value: Any) -> list[str]:
    return [text for text in map(_text, value) if text is not None] if isinstance(value, list) else []


def _texts_by_name(value: Any) -> dict[str, str]:
    pairs = ((_text(name), _text(text)) for name, text in _mapping(value).items())
    return {name: text for name, text in pairs if name is not None and text is not None}
