from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.storage.pins import FilePins
from entrepot.testing.retention_contract import PinsContract


@pytest.fixture
def pins(tmp_path: Path) -> Iterator[FilePins]:
    pins = FilePins(tmp_path / "entrepot.pins")
    yield pins
    pins.close()


class TestFilePins(PinsContract): ...
