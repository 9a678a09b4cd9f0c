from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrepot.metadata.sql import SqlMetadata
from entrepot.testing.catalogue_contract import CatalogueContract, Holdings, PurgesContract


@pytest.fixture
async def holdings(tmp_path: Path) -> AsyncIterator[Holdings]:
    opened = SqlMetadata.open(tmp_path / "entrepot.db")
    yield opened
    await opened.close()


class TestSqlCatalogue(CatalogueContract): ...


class TestSqlPurges(PurgesContract): ...
