from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from entrepot.engine.uses import Uses
from entrepot.metadata import schema
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.testing.virtual_clock import VirtualClock

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
