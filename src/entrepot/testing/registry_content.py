"""What a fake registry holds: blobs, manifests and tags in memory, and images made in one call."""

from __future__ import annotations

import json
import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from entrepot.oci.digest import Digest
from entrepot.oci.manifest import read_links

__all__ = ["EMPTY_CONFIG", "INDEX_TYPE", "MANIFEST_TYPE", "Image", "RegistryContent", "StoredManifest"]

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
EMPTY_CONFIG = b"{}"


@dataclass(frozen=True, slots=True)
class StoredManifest:
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest that was added, with the digests of what it names."""

    digest: Digest
    content: bytes
    config: Digest
    layers: tuple[Digest, ...]


@dataclass(slots=True)
class _Repository:
    blobs: set[Digest] = field(default_factory=set)
    manifests: dict[Digest, StoredManifest] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)


class RegistryContent:
    """May be shared by several fake registries, as by a registry and its mirror or CDN."""

    def __init__(self) -> None:
        self._repositories: dict[str, _Repository] = {}
        self._bytes: dict[Digest, bytes | mmap.mmap | memoryview] = {}

    def add_blob(
        self, repository: str, content: bytes | mmap.mmap | memoryview, digest: Digest | None = None
    ) -> Digest:
        """Keep a blob; a ``digest`` that is given is believed, so that it may be a wrong one."""
        digest = digest or Digest.of(content)  # type: ignore[arg-type]  # hashlib takes any buffer.
        self._bytes[digest] = content
        self._at(repository).blobs.add(digest)
        return digest

    def add_manifest(
        self, repository: str, content: bytes, *, tag: str | None = None, media_type: str = MANIFEST_TYPE
    ) -> Digest:
        digest = Digest.of(content)
        self._at(repository).manifests[digest] = StoredManifest(media_type, content)
        if tag is not None:
            self.tag(repository, tag, digest)
        return digest

    def tag(self, repository: str, tag: str, digest: Digest) -> None:
        self._at(repository).tags[tag] = digest

    def untag(self, repository: str, tag: str) -> None:
        del self._at(repository).tags[tag]

    def add_image(
        self,
        repository: str,
        tag: str | None = None,
        *,
        layers: Sequence[bytes] = (b"layer",),
        config: bytes = EMPTY_CONFIG,
        subject: Digest | None = None,
        artifact_type: str | None = None,
    ) -> Image:
        config_digest = self.add_blob(repository, config)
        layer_digests = tuple(self.add_blob(repository, layer) for layer in layers)
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(_CONFIG_TYPE, config_digest, len(config)),
            "layers": [
                _descriptor(_LAYER_TYPE, digest, len(layer))
                for digest, layer in zip(layer_digests, layers, strict=True)
            ],
        }
        if artifact_type is not None:
            document["artifactType"] = artifact_type
        if subject is not None:
            document["subject"] = _descriptor(MANIFEST_TYPE, subject, 0)
        content = json.dumps(document).encode()
        digest = self.add_manifest(repository, content, tag=tag)
        return Image(digest, content, config_digest, layer_digests)

    def add_index(self, repository: str, tag: str | None, images: Mapping[str, Image]) -> Digest:
        """Tie images together under platforms written ``linux/amd64``."""
        manifests = []
        for platform, image in images.items():
            system, _, architecture = platform.partition("/")
            described = _descriptor(MANIFEST_TYPE, image.digest, len(image.content))
            manifests.append({**described, "platform": {"os": system, "architecture": architecture}})
        document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests}
        return self.add_manifest(repository, json.dumps(document).encode(), tag=tag, media_type=INDEX_TYPE)

    def has_repository(self, repository: str) -> bool:
        return repository in self._repositories

    def blob(self, repository: str, digest: Digest) -> bytes | mmap.mmap | memoryview | None:
        return self._bytes[digest] if digest in self._look_up(repository).blobs else None

    def blob_anywhere(self, digest: Digest) -> bytes | mmap.mmap | memoryview | None:
        return self._bytes.get(digest)

    def manifest(self, repository: str, reference: str) -> tuple[Digest, StoredManifest] | None:
        """Find by tag or by the text of a digest."""
        found = self._look_up(repository)
        for digest, manifest in found.manifests.items():
            if str(digest) == reference or found.tags.get(reference) == digest:
                return digest, manifest
        return None

    def tags(self, repository: str) -> list[str]:
        return sorted(self._look_up(repository).tags)

    def repositories(self) -> list[str]:
        return sorted(self._repositories)

    def referrers(self, repository: str, subject: str) -> list[dict[str, Any]]:
        """List descriptors of the manifests that name ``subject``."""
        return [
            _descriptor(manifest.media_type, digest, len(manifest.content)) | _artifact_type(manifest.content)
            for digest, manifest in self._look_up(repository).manifests.items()
            if (link := read_links(manifest.content).subject) is not None and str(link.digest) == subject
        ]

    def _at(self, repository: str) -> _Repository:
        return self._repositories.setdefault(repository, _Repository())

    def _look_up(self, repository: str) -> _Repository:
        return self._repositories.get(repository) or _Repository()


def _artifact_type(manifest: bytes) -> dict[str, str]:
    """Tell it as a list of referrers does (distribution-spec, "Listing Referrers")."""
    document = json.loads(manifest)
    kind = document.get("artifactType") or document.get("config", {}).get("mediaType")
    return {} if kind is None else {"artifactType": kind}


def _descriptor(media_type: str, digest: Digest, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(digest), "size": size}
