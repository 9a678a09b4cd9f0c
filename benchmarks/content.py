"""The bytes that all serve: one image, in files named as a registry's paths, so that nginx is one too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from entrepot.oci.digest import Digest

__all__ = ["MANIFEST_TYPE", "REPOSITORY", "Content", "Sizes", "write_content", "write_manifest"]

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
REPOSITORY = "library/bench"
_STEP = 1 << 20


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the blobs, in bytes, by what they are for."""

    small: int = 64 << 10
    large: int = 1 << 30
    cold: int = 512 << 20
    herd: int = 64 << 20
    crowd: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """``blobs`` pairs the names in ``Sizes`` with digests."""

    root: Path
    manifest: Digest
    blobs: dict[str, Digest]
    sizes: Sizes

    @property
    def tag_path(self) -> str:
        return f"/v2/{REPOSITORY}/manifests/1"

    @property
    def manifest_path(self) -> str:
        return f"/v2/{REPOSITORY}/manifests/{self.manifest}"

    def blob_path(self, name: str) -> str:
        return f"/v2/{REPOSITORY}/blobs/{self.blobs[name]}"

    def size(self, name: str) -> int:
        size: int = getattr(self.sizes, name)
        return size


def write_content(root: Path, sizes: Sizes) -> Content:
    """Write manifest and blobs under ``root`` with the paths of the registry API."""
    blobs_folder = root / "v2" / REPOSITORY / "blobs"
    blobs_folder.mkdir(parents=True)
    blobs = {name: _write_blob(blobs_folder, name, getattr(sizes, name)) for name in sizes.__slots__}
    manifest = write_manifest(root, {digest: getattr(sizes, name) for name, digest in blobs.items()})
    return Content(root, manifest, blobs, sizes)


def write_manifest(root: Path, layers: Mapping[Digest, int]) -> Digest:
    """Write an image of ``layers``, with their sizes, as tag 1 beside their blobs; return its digest."""
    repository = root / "v2" / REPOSITORY
    config = b"{}"
    (repository / "blobs" / str(Digest.of(config))).write_bytes(config)
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor("application/vnd.oci.image.config.v1+json", Digest.of(config), len(config)),
        "layers": [
            _descriptor("application/vnd.oci.image.layer.v1.tar", digest, size)
            for digest, size in layers.items()
        ],
    }
    manifest = json.dumps(document).encode()
    (repository / "manifests").mkdir()
    for reference in ("1", str(Digest.of(manifest))):
        (repository / "manifests" / reference).write_bytes(manifest)
    return Digest.of(manifest)


def _write_blob(folder: Path, name: str, size: int) -> Digest:
    """Write bytes that are different everywhere, and the same in every run."""
    hasher, part = hashlib.sha256(), folder / "part"
    with part.open("wb") as file:
        for start in range(0, size, _STEP):
            piece = hashlib.shake_128(f"{name} {start}".encode()).digest(min(_STEP, size - start))
            hasher.update(piece)
            file.write(piece)
    digest = Digest("sha256", hasher.hexdigest())
    part.rename(folder / str(digest))
    return digest


def _descriptor(media_type: str, digest: Digest, size: int) -> dict[str, object]:
    return {"mediaType": media_type, "digest": str(digest), "size": size}
