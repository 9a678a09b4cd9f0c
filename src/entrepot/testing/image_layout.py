"""Real images made by hand: layers with files in them, for every platform, as an OCI layout."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrepot.oci.digest import Digest

__all__ = ["BuiltImage", "build_image", "pattern", "read_archive", "read_blobs"]

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

_Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """``layout`` holds the content; ``files`` are those of the root file system, by platform."""

    layout: Path
    digest: Digest
    manifests: Mapping[str, Digest]
    layers: Mapping[str, tuple[Digest, ...]]
    files: Mapping[str, Mapping[str, bytes]]

    @property
    def blobs(self) -> dict[str, bytes]:
        """Everything by the hex of its digest: indexes, manifests, configs and layers."""
        return read_blobs(self.layout)

    def content(self, digest: Digest) -> bytes:
        return (self.layout / "blobs" / digest.algorithm / digest.hex).read_bytes()


def pattern(seed: str, size: int) -> bytes:
    """Return ``size`` bytes that no compressor shrinks, always the same for a seed."""
    return hashlib.shake_256(seed.encode()).digest(size)


def build_image(
    layout: Path,
    name: str,
    *,
    platforms: Sequence[str] = ("amd64", "arm64"),
    layer_count: int = 3,
    layer_size: int = 256 << 10,
) -> BuiltImage:
    """Write an index over one manifest per platform, each with its own layers, into a new OCI layout."""
    writer = _Layout(layout)
    shared = {f"srv/layer-{number}": pattern(f"{name}/{number}", layer_size) for number in range(layer_count)}
    files, manifests, layers, entries = {}, {}, {}, []
    for platform in platforms:
        files[platform] = {"etc/platform": platform.encode(), **shared}
        entry, layers[platform] = _write_platform(writer, platform, files[platform])
        manifests[platform] = Digest.parse(entry["digest"])
        entries.append({**entry, "platform": {"os": "linux", "architecture": platform}})
    digest = writer.finish({"schemaVersion": 2, "mediaType": _INDEX, "manifests": entries})
    return BuiltImage(layout, digest, manifests, layers, files)


def read_blobs(layout: Path) -> dict[str, bytes]:
    """Read a whole OCI layout, content by the hex of its digest."""
    return {path.name: path.read_bytes() for path in (layout / "blobs" / "sha256").iterdir()}


def read_archive(path: Path) -> dict[str, bytes]:
    """Read the files of the one image that ``docker save`` or ``podman save`` wrote."""
    files: dict[str, bytes] = {}
    with tarfile.open(path) as saved:
        (image,) = json.loads(_member(saved, "manifest.json"))
        for layer in image["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(_member(saved, layer))) as archive:
                files |= {entry.name: _member(archive, entry.name) for entry in archive if entry.isfile()}
    return files


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    if member is None:
        raise ValueError(f"{name} is no file")
    return member.read()


def _write_platform(
    writer: _Layout, platform: str, files: Mapping[str, bytes]
) -> tuple[_Document, tuple[Digest, ...]]:
    """Write one layer per file, the manifest over them and its config."""
    archives = [_archive(path, content) for path, content in files.items()]
    layers = [writer.add(gzip.compress(archive, 1, mtime=0), _LAYER) for archive in archives]
    config = {
        "architecture": platform,
        "os": "linux",
        "config": {"Cmd": ["/srv/none"], "Labels": {"made-by": "entrepot.testing"}},
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(archive)) for archive in archives]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": writer.add(_json(config), _CONFIG),
        "layers": layers,
    }
    digests = tuple(Digest.parse(layer["digest"]) for layer in layers)
    return writer.add(_json(manifest), _MANIFEST), digests


def _archive(path: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(path)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


class _Layout:
    """An OCI image layout (image-spec, "Image Layout") while it is written."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._blobs = root / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)

    def add(self, content: bytes, media_type: str) -> _Document:
        digest = Digest.of(content)
        (self._blobs / digest.hex).write_bytes(content)
        return {"mediaType": media_type, "digest": str(digest), "size": len(content)}

    def finish(self, index: _Document) -> Digest:
        entry = self.add(_json(index), _INDEX)
        (self._root / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
        (self._root / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [entry]}))
        return Digest.parse(entry["digest"])
