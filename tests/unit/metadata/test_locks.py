"""Another process has the database locked: a backup, somebody with a shell of SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from entrepot.errors import MetadataFailed
from entrepot.metadata import database as database_module
from entrepot.metadata import locks, schema
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.ports.metadata import Use
from entrepot.testing.waiting import PATIENCE, until

ALPINE = Repository("docker.io", "library/alpine")
DIGEST = Digest.of(b"it")
_USES = select(schema.blobs.c.uses)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long: neither SQLite for the lock, nor whoever has something to write."""
    monkeypatch.setattr(database_module, "_BUSY_SECONDS", 0.01)
    monkeypatch.setattr(locks, "_PAUSE", 0.01)
    monkeypatch.setattr(database_module, "_MOMENT", 0.0)


@pytest.fixture
def other(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        yield other


async def _note(metadata: SqlMetadata, tag: str) -> str:
    """Note a tag that cannot be written now; return what is said of it."""
    with pytest.raises(MetadataFailed) as failed:
        await metadata.record_tag(ALPINE, tag, DIGEST, 1.0)
    return str(failed.value)


@pytest.mark.usefixtures("impatient")
async def test_what_is_noted_while_the_file_is_locked_is_written_when_it_no_longer_is(
    path: Path, metadata: SqlMetadata, other: sqlite3.Connection
) -> None:
    with capture_logs() as logs:
        other.execute("BEGIN IMMEDIATE")
        said = [await _note(metadata, tag) for tag in ("first", "second")]
        await until(lambda: _told(logs), "the lock is noticed")
        said.append(await _note(metadata, "third"))
        other.execute("ROLLBACK")
        await until(lambda: metadata.tag(ALPINE, "third"), "it is written")
        await until(lambda: len(_told(logs)) > 1, "the end of the lock is noticed")
    begin, end = f"{path}: not written within 0 s, as ", "; it is to be written later"
    # Whether the lock is noticed before the first is told depends on the machine.
    assert said[0] in {
        f"{begin}{cause}{end}" for cause in ("it is busy or locked", "another process locks it")
    }
    assert said[2] == f"{begin}another process locks it{end}"
    assert all(metadata.tag(ALPINE, tag) for tag in ("first", "second", "third"))
    assert _told(logs) == ["metadata_locked", "metadata_unlocked"]
    assert f"fuser {path}" in logs[0]["advice"]


@pytest.mark.usefixtures("impatient")
async def test_no_more_is_kept_to_be_written_later_than_there_is_room_for(
    metadata: SqlMetadata, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata._database, "_room", asyncio.Semaphore(1))
    other.execute("BEGIN IMMEDIATE")
    assert "later" in await _note(metadata, "first")
    assert "it is not kept to be written later" in await _note(metadata, "second")
    other.execute("ROLLBACK")
    await until(lambda: metadata.tag(ALPINE, "first"), "it is written")
    assert metadata.tag(ALPINE, "second") is None


@pytest.mark.usefixtures("impatient")
async def test_uses_are_counted_when_the_file_is_no_longer_locked(
    metadata: SqlMetadata, other: sqlite3.Connection
) -> None:
    await metadata.record_stored(DIGEST, 2, 1.0)
    other.execute("BEGIN IMMEDIATE")
    await _note(metadata, "first")
    with pytest.raises(MetadataFailed, match="later"):
        await metadata.record_uses([Use(DIGEST, 5.0, 3)])
    other.execute("ROLLBACK")
    await until(lambda: metadata._database.find(_USES) == [(3,)], "they are counted")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("is_behind", [True, False])
async def test_what_somebody_asked_for_and_was_refused_for_a_lock_is_not_done_later(
    metadata: SqlMetadata, other: sqlite3.Connection, *, is_behind: bool
) -> None:
    await metadata.record_stored(DIGEST, 2, 1.0)
    other.execute("BEGIN IMMEDIATE")
    if is_behind:
        with capture_logs() as logs:
            await _note(metadata, "first")
            await until(lambda: _told(logs), "the lock is noticed")
    said = "not written within 0 s, as another process locks it" if is_behind else "is locked by another"
    with pytest.raises(MetadataFailed, match=said):
        await metadata.forget_stored(DIGEST)
    other.execute("ROLLBACK")
    await metadata._database.checkpoint()  # Behind all that is queued.
    assert metadata.is_stored(DIGEST)


@pytest.mark.usefixtures("impatient")
async def test_an_end_waits_for_a_lock_no_more_than_once_and_tells_what_is_lost(
    path: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_BUSY_SECONDS", 0.2)
    metadata = SqlMetadata.open(path)
    other.execute("BEGIN IMMEDIATE")
    for number in range(400):
        await _note(metadata, str(number))
    with capture_logs() as logs:
        async with asyncio.timeout(PATIENCE / 2):
            await metadata.close()
    (lost,) = [line for line in logs if line["event"] == "changes_lost"]
    assert (lost["count"], lost["path"]) == (400, str(path))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("lock", ["BEGIN IMMEDIATE", "PRAGMA locking_mode = EXCLUSIVE"])
async def test_a_file_that_is_locked_is_not_opened_and_who_may_lock_it_is_told(path: Path, lock: str) -> None:
    await SqlMetadata.open(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(lock)
        other.execute("CREATE TABLE IF NOT EXISTS theirs (it)")
        with pytest.raises(MetadataFailed) as failed:
            SqlMetadata.open(path)
    assert str(failed.value) == (
        f"{path} is locked by another process, a backup or somebody with sqlite3:"
        f" `fuser {path}` tells which; end it, or wait for it"
    )
    await SqlMetadata.open(path).close()


def _told(logs: Sequence[Mapping[str, Any]]) -> list[object]:
    return [line["event"] for line in logs if "lock" in str(line["event"])]
