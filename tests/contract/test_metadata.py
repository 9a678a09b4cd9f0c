from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrepot.metadata.sql import SqlMetadata
from entrepot.testing.eviction_contract import EvictionIndexContract
from entrepot.testing.metadata_contract import (
    BlobIndexContract,
    ContentsContract,
    ListingsContract,
    ManifestIndexContract,
    StoredBlobsContract,
)
from entrepot.testing.retention_contract import RetentionIndexContract


@pytest.fixture
async def metadata(tmp_path: Path) -> AsyncIterator[SqlMetadata]:
    opened = SqlMetadata.open(tmp_path / "entrepot.db")
    yield opened
    await opened.close()


class TestSqlManifestIndex(ManifestIndexContract): ...


class TestSqlBlobIndex(BlobIndexContract): ...


class TestSqlStoredBlobs(StoredBlobsContract): ...


class TestSqlContents(ContentsContract): ...


class TestSqlListings(ListingsContract): ...


class TestSqlEvictionIndex(EvictionIndexContract): ...


class TestSqlRetentionIndex(RetentionIndexContract): ...
