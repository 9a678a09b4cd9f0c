from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.ports.blobs import BlobStore, Bookmark
from entrepot.storage.bookmark import FileBookmark
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.testing.blob_contract import BlobContract, BookmarkContract


class TestFilesystem(BlobContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[BlobStore]:
        store = FilesystemBlobs(tmp_path)
        yield store
        store.close()


class TestFileBookmark(BookmarkContract):
    @pytest.fixture
    def bookmark(self, tmp_path: Path) -> Bookmark:
        return FileBookmark(tmp_path / "mark")
