from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from entrepot.engine import uses as uses_module
from entrepot.engine.uses import Uses
from entrepot.metadata import blobs, schema
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import until

DIGEST = Digest.of(b"blob")


@pytest.fixture
async def metadata(tmp_path: Path) -> AsyncIterator[SqlMetadata]:
    metadata = SqlMetadata.open(tmp_path / "entrepot.db")
    yield metadata
    await metadata.close()


def _recorded(metadata: SqlMetadata) -> list[tuple[int, float]]:
    return metadata._database.find(select(schema.blobs.c.uses, schema.blobs.c.last_used_at))


async def test_uses_of_a_blob_that_is_coming_are_counted_when_it_has_come(metadata: SqlMetadata) -> None:
    clock = VirtualClock(now=1.0)
    uses = Uses(metadata, clock)
    for _ in range(3):
        uses.note(DIGEST)
        clock.advance(1)
    await uses.flush(lambda digest: digest == DIGEST)
    await metadata.record_stored(DIGEST, 4, 2.0)
    assert _recorded(metadata) == [(0, 2.0)]
    for _ in range(2):
        await uses.flush(lambda _digest: False)
        assert _recorded(metadata) == [(3, 3.0)]


async def test_a_use_counts_as_not_recorded_until_every_flush_is_done(metadata: SqlMetadata) -> None:
    uses = Uses(metadata, VirtualClock())
    uses.note(DIGEST)
    first = asyncio.ensure_future(uses.flush())
    await asyncio.sleep(0)
    second = asyncio.ensure_future(uses.flush())
    await asyncio.sleep(0)
    assert DIGEST in uses
    await first
    await second
    assert DIGEST not in uses


async def test_no_batch_of_uses_is_lost_to_a_lock_that_ends(
    metadata: SqlMetadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uses_module, "_BATCH", 1)
    monkeypatch.setattr(blobs, "_PATIENCE", 0.0)
    uses = Uses(metadata, VirtualClock(now=5.0))
    for content in (b"first", b"second", b"third"):
        await metadata.record_stored(Digest.of(content), 4, 2.0)
        uses.note(Digest.of(content))
    with closing(sqlite3.connect(tmp_path / "entrepot.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        report = await uses.flush()
        other.execute("ROLLBACK")
    assert report.failure is not None
    assert "later" in report.failure
    await until(lambda: _recorded(metadata) == [(1, 5.0)] * 3, "they are counted")
