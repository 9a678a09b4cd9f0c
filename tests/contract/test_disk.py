from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.ports.blobs import BlobStore
from entrepot.ports.disk import Disk
from entrepot.storage.disk import FilesystemDisk
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.testing.disk_contract import DiskContract


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlobStore]:
    store = FilesystemBlobs(tmp_path)
    yield store
    store.close()


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return FilesystemDisk(tmp_path)


class TestFilesystemDisk(DiskContract): ...
