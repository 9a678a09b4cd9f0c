from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from entrepot.errors import MetadataFailed
from entrepot.metadata import database as database_module
from entrepot.metadata import schema
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks
from entrepot.oci.reference import Repository
from entrepot.ports.metadata import StoredManifest, Use
from entrepot.testing.waiting import PATIENCE

ALPINE = Repository("docker.io", "library/alpine")
CONTENT = b"m" * 20_000
DIGEST = Digest.of(CONTENT)

_HELD = select(schema.manifests.c.digest)


class Gate:
    """A change that keeps the writer busy until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._open = threading.Event()

    def __call__(self, _: object) -> None:
        self.entered.set()
        assert self._open.wait(PATIENCE)

    def open(self) -> None:
        self._open.set()


async def _keep_manifest(metadata: SqlMetadata, content: bytes = CONTENT) -> None:
    manifest = StoredManifest(Digest.of(content), "application/json", content)
    await metadata.record_manifest(ALPINE, manifest, ManifestLinks(), 1.0)


def _bound_pages(count: int) -> Callable[[Connection], None]:
    def change(connection: Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {count}")

    return change


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


async def test_what_was_recorded_is_there_when_opened_again(path: Path) -> None:
    first = SqlMetadata.open(path)
    await _keep_manifest(first)
    await first.close()
    second = SqlMetadata.open(path)
    assert second.manifest_anywhere(DIGEST) is not None
    await second.close()


async def test_what_was_recorded_survives_the_death_of_the_process(path: Path) -> None:
    script = """
import asyncio, os, pathlib, signal, sys
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository

async def main():
    metadata = SqlMetadata.open(pathlib.Path(sys.argv[1]))
    await metadata.record_tag(Repository("docker.io", "library/alpine"), "3", Digest.of(b""), 1.0)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
    died = await asyncio.create_subprocess_exec(sys.executable, "-c", script, path)
    assert await died.wait() == -signal.SIGKILL
    metadata = SqlMetadata.open(path)
    assert metadata.tag(ALPINE, "3") is not None
    await metadata.close()


async def test_closing_leaves_one_file(path: Path) -> None:
    metadata = SqlMetadata.open(path)
    await _keep_manifest(metadata)
    await metadata.close()
    assert _names(path.parent) == {"entrepot.db"}


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 1), ("foreign_keys", 1)]
)
async def test_both_connections_keep_to_the_same_rules(
    metadata: SqlMetadata, pragma: str, value: str | int
) -> None:
    database = metadata._database
    for connection in (database._reading.driver_connection, database._writing.connection.driver_connection):
        assert connection is not None
        assert connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)


async def test_a_closed_database_says_so(path: Path) -> None:
    metadata = SqlMetadata.open(path)
    await metadata.close()
    with pytest.raises(MetadataFailed):
        metadata.tag(ALPINE, "3")
    with pytest.raises(MetadataFailed, match="closed"):
        await metadata.forget_tag(ALPINE, "3")


async def test_what_waits_for_room_is_done_before_the_database_closes_and_nothing_else_is(path: Path) -> None:
    metadata = SqlMetadata.open(path)
    metadata._database._room = asyncio.Semaphore(1)
    gate = Gate()
    blocking = asyncio.create_task(metadata._database.change(gate))
    waiting = asyncio.create_task(metadata.forget_tag(ALPINE, "3"))
    await asyncio.to_thread(gate.entered.wait, PATIENCE)
    closing = asyncio.create_task(metadata.close())
    await _settle()
    late = asyncio.create_task(metadata.forget_tag(ALPINE, "4"))
    await _settle()
    gate.open()
    await asyncio.wait([blocking, waiting, closing])
    assert [task.exception() for task in (blocking, waiting, closing)] == [None] * 3
    with pytest.raises(MetadataFailed, match=f"^{path} is closed$"):
        await late
    with pytest.raises(MetadataFailed, match="closed"):
        await metadata.close()


async def test_where_the_system_has_no_thread_to_give_the_database_is_not_said_to_be_closed(
    metadata: SqlMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        for ask in (metadata.forget_tag, metadata.held_tag):
            with pytest.raises(MetadataFailed, match="new thread"):
                await ask(ALPINE, "3")
    await metadata.forget_tag(ALPINE, "3")


async def test_a_cancelled_callers_change_is_still_made(path: Path, metadata: SqlMetadata) -> None:
    gate = Gate()
    blocking = asyncio.create_task(metadata._database.change(gate))
    leaving = asyncio.create_task(metadata.record_tag(ALPINE, "left", DIGEST, 1.0))
    await _settle()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    gate.open()
    await blocking
    await metadata.record_tag(ALPINE, "next", DIGEST, 2.0)
    assert metadata.tag(ALPINE, "left") is not None
    assert metadata.tag(ALPINE, "next") is not None


async def test_a_caller_cancelled_while_its_change_runs_takes_nothing_back(metadata: SqlMetadata) -> None:
    gate = Gate()
    running = asyncio.create_task(metadata._database.change(gate))
    await asyncio.to_thread(gate.entered.wait, PATIENCE)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    gate.open()
    await metadata.record_tag(ALPINE, "next", DIGEST, 1.0)
    assert metadata.tag(ALPINE, "next") is not None


async def test_the_queue_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_MOST_QUEUED", 2)
    metadata = SqlMetadata.open(path)
    gate = Gate()
    async with asyncio.TaskGroup() as group:
        group.create_task(metadata._database.change(gate))
        for number in range(5):
            group.create_task(metadata.record_tag(ALPINE, str(number), DIGEST, 1.0))
        await _settle()
        assert metadata._database._writer._work_queue.qsize() <= 2
        gate.open()
    assert all(metadata.tag(ALPINE, str(number)) for number in range(5))
    await metadata.close()


async def test_a_change_that_outlasts_patience_is_a_failure(
    metadata: SqlMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_LONGEST_WAIT", 0.0)
    gate = Gate()
    with pytest.raises(MetadataFailed, match="not written within"):
        await metadata._database.change(gate)
    monkeypatch.undo()
    gate.open()


async def test_whoever_has_an_answer_to_give_waits_but_once_for_a_writer_that_is_stuck(
    metadata: SqlMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_MOMENT", 0.0)
    gate = Gate()
    blocking = asyncio.create_task(metadata._database.change(gate))
    with pytest.raises(MetadataFailed, match="not written within 0 s, as it is busy or locked"):
        await metadata.record_tag(ALPINE, "first", DIGEST, 1.0)
    monkeypatch.setattr(database_module, "_MOMENT", PATIENCE)
    async with asyncio.timeout(PATIENCE / 2):
        with pytest.raises(MetadataFailed, match="not written within"):
            await metadata.record_tag(ALPINE, "second", DIGEST, 1.0)
    gate.open()
    await blocking
    await metadata.record_tag(ALPINE, "third", DIGEST, 1.0)
    assert all(metadata.tag(ALPINE, name) for name in ("first", "second", "third"))


async def test_a_change_that_fails_leaves_nothing_of_itself(metadata: SqlMetadata) -> None:
    surrogate = StoredManifest(DIGEST, "application/\udcff", CONTENT)
    with pytest.raises(MetadataFailed):
        await metadata.record_manifest(ALPINE, surrogate, ManifestLinks(), 1.0)
    assert metadata._database.find(_HELD) == []
    await _keep_manifest(metadata)
    assert metadata._database.find(_HELD) == [(str(DIGEST),)]


async def test_a_full_disk_is_told_and_passes(metadata: SqlMetadata) -> None:
    await metadata._database.change(_bound_pages(1))
    with pytest.raises(MetadataFailed, match="free some space"):
        await _keep_manifest(metadata)
    assert metadata.manifest_anywhere(DIGEST) is None
    await metadata._database.change(_bound_pages(10_000))
    await _keep_manifest(metadata)
    assert metadata.manifest_anywhere(DIGEST) is not None


async def test_a_database_that_may_only_be_read_serves_look_ups(metadata: SqlMetadata) -> None:
    await _keep_manifest(metadata)
    metadata._database._writing.exec_driver_sql("PRAGMA query_only = ON")
    metadata._database._writing.rollback()
    with pytest.raises(MetadataFailed, match="readonly"):
        await metadata.record_tag(ALPINE, "3", DIGEST, 1.0)
    assert metadata.manifest_anywhere(DIGEST) is not None


def test_a_path_that_cannot_be_a_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MetadataFailed, match="unable to open"):
        SqlMetadata.open(tmp_path)


async def test_look_ups_and_changes_fail_while_a_new_one_is_made_and_no_longer(damaged: SqlMetadata) -> None:
    with pytest.raises(MetadataFailed):
        await damaged.check()
    gate = Gate()
    waiting = asyncio.create_task(damaged._database.change(gate))
    await asyncio.to_thread(gate.entered.wait, PATIENCE)
    renewal = asyncio.create_task(damaged.renew())
    await _settle()
    with pytest.raises(MetadataFailed, match="new database"):
        damaged.tag(ALPINE, "3")
    gate.open()
    await waiting
    assert await renewal is True
    assert damaged.tag(ALPINE, "3") is None
    await damaged.close()


@pytest.mark.parametrize("what", ["file", "folder"])
async def test_a_file_that_somebody_removes_is_begun_anew(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    metadata = SqlMetadata.open(folder / "entrepot.db")
    await metadata.record_tag(ALPINE, "3", DIGEST, 1.0)
    assert await metadata.renew() is False
    if what == "file":
        (folder / "entrepot.db").unlink()
    else:
        shutil.rmtree(folder)
    assert await metadata.renew() is True
    assert metadata.tag(ALPINE, "3") is None
    await metadata.record_tag(ALPINE, "3", DIGEST, 1.0)
    await metadata.close()
    opened = SqlMetadata.open(folder / "entrepot.db")
    assert opened.tag(ALPINE, "3") is not None
    await opened.close()


async def test_who_looks_at_a_file_that_is_gone_makes_no_empty_one(path: Path) -> None:
    metadata = SqlMetadata.open(path)
    path.unlink()
    with pytest.raises(MetadataFailed, match="is gone"):
        await metadata._database.survey(_HELD)
    with pytest.raises(MetadataFailed, match="is gone"):
        await metadata.check()
    assert await metadata.renew() is True
    assert await metadata._database.survey(_HELD) == []
    await metadata.close()


async def test_a_new_file_that_could_only_be_begun_is_begun_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("no room")

    metadata = SqlMetadata.open(path)
    path.unlink()
    with monkeypatch.context() as patched:
        patched.setattr(database_module, "bring_up_to_date", fail)
        with pytest.raises(MetadataFailed, match="no room"):
            await metadata.renew()
    assert await metadata.renew() is True
    await metadata.record_tag(ALPINE, "3", DIGEST, 1.0)
    await metadata.close()


async def test_closing_does_not_wait_for_a_check(path: Path) -> None:
    metadata = SqlMetadata.open(path)
    gate = Gate()

    def hold(connection: Any, _record: object) -> None:
        def pause() -> int:
            gate(connection)
            return 0

        connection.set_progress_handler(pause, 1)

    event.listen(metadata._database._engine, "connect", hold)
    check = asyncio.create_task(metadata.check())
    await asyncio.to_thread(gate.entered.wait, PATIENCE)
    await metadata.close()
    gate.open()
    with pytest.raises(MetadataFailed, match="interrupted"):
        await check


async def test_uses_add_up_and_the_newest_counts(metadata: SqlMetadata) -> None:
    await _keep_manifest(metadata)
    layer = Digest.of(b"layer")
    await metadata.record_stored(layer, 5, 3.0)
    await metadata.record_uses([Use(DIGEST, 9.0, 2), Use(layer, 2.0, 1)])
    await metadata.record_uses([Use(DIGEST, 8.0, 3)])
    used = [select(table.c.last_used_at, table.c.uses) for table in (schema.manifests, schema.blobs)]
    assert [metadata._database.find(statement) for statement in used] == [[(9.0, 5)], [(3.0, 1)]]


async def test_a_use_of_a_clock_that_was_ahead_is_not_believed_for_years(metadata: SqlMetadata) -> None:
    layer = Digest.of(b"layer")
    await metadata.record_stored(layer, 5, 4e9)
    await metadata.record_uses([Use(layer, 4e9 - 3600, 1)])
    used = select(schema.blobs.c.last_used_at)
    assert metadata._database.find(used) == [(4e9,)]
    await metadata.record_uses([Use(layer, 2e9, 1)])
    assert metadata._database.find(used) == [(2e9,)]


async def test_storing_a_blob_again_keeps_its_uses(metadata: SqlMetadata) -> None:
    layer = Digest.of(b"layer")
    await metadata.record_stored(layer, 5, 1.0)
    await metadata.record_uses([Use(layer, 2.0, 7)])
    await metadata.record_stored(layer, 5, 3.0)
    blobs = select(schema.blobs.c.digest, schema.blobs.c.last_used_at, schema.blobs.c.uses)
    assert metadata._database.find(blobs) == [(str(layer), 3.0, 7)]
    await metadata.forget_stored(layer)
    assert metadata._database.find(blobs) == []
