from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

from entrepot.oci.digest import Digest
from entrepot.testing.image_layout import build_image, pattern


def test_every_blob_is_named_by_its_digest(tmp_path: Path) -> None:
    image = build_image(tmp_path / "layout", "app", layer_size=1000)
    assert image.blobs
    assert all(Digest.of(content).hex == name for name, content in image.blobs.items())
    assert image.digest.hex in image.blobs


def test_an_index_leads_to_the_files_of_each_platform(tmp_path: Path) -> None:
    image = build_image(tmp_path / "layout", "app", platforms=("amd64", "arm64"), layer_size=1000)
    index = json.loads(image.content(image.digest))
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    for platform, files in image.files.items():
        manifest = json.loads(image.content(image.manifests[platform]))
        config = json.loads(image.content(Digest.parse(manifest["config"]["digest"])))
        found: dict[str, bytes] = {}
        for layer, diff_id in zip(image.layers[platform], config["rootfs"]["diff_ids"], strict=True):
            archive = gzip.decompress(image.content(layer))
            assert str(Digest.of(archive)) == diff_id
            found |= _files_of(archive)
        assert found == files


def _files_of(archive: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        for name in members.getnames():
            member = members.extractfile(name)
            assert member is not None
            found[name] = member.read()
    return found


def test_a_pattern_is_the_same_for_a_seed_and_differs_between_seeds() -> None:
    assert pattern("a", 100) == pattern("a", 100)
    assert pattern("a", 100) != pattern("b", 100)
