from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks
from entrepot.oci.reference import Repository
from entrepot.ports.metadata import StoredManifest

ALPINE = Repository("docker.io", "library/alpine")
PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "entrepot.db"


@pytest.fixture
async def metadata(path: Path) -> AsyncIterator[SqlMetadata]:
    opened = SqlMetadata.open(path)
    yield opened
    await opened.close()


@pytest.fixture
def contents() -> list[bytes]:
    """The manifests of ``damaged``."""
    return [b"%d" % number + b"m" * 3000 for number in range(200)]


@pytest.fixture
async def damaged(path: Path, contents: list[bytes]) -> SqlMetadata:
    """A database that opens, and is damaged further in."""
    metadata = SqlMetadata.open(path)
    for content in contents:
        manifest = StoredManifest(Digest.of(content), "application/json", content)
        await metadata.record_manifest(ALPINE, manifest, ManifestLinks(), 1.0)
    await metadata.close()
    _damage(path, b"m" * 3000)
    return SqlMetadata.open(path)


def _damage(path: Path, needle: bytes) -> None:
    """Overwrite the head of the page that the needle begins in."""
    content = bytearray(path.read_bytes())
    page = content.index(needle) // PAGE
    content[page * PAGE : page * PAGE + 64] = b"\xff" * 64
    path.write_bytes(content)
