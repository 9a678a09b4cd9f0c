"""What is stored and what is recorded of it, brought together again after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.engine.conftest import Depot

from entrepot.engine.ledger import Ledger
from entrepot.engine.reconcile import Reconciliation
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.ports.eviction import Candidate
from entrepot.storage.disk import FilesystemDisk
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.storage.layout import blob_path
from entrepot.testing.virtual_clock import VirtualClock


@dataclass
class Cellar:
    folder: Path
    store: FilesystemBlobs
    metadata: SqlMetadata
    clock: VirtualClock

    async def keep(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        spool = await self.store.spool(digest)
        await spool.write(0, content)
        await spool.commit(len(content))
        await spool.close()
        return digest

    def reconciliation(self) -> Reconciliation:
        ledger = Ledger(FilesystemDisk(self.folder), self.metadata, self.clock)
        return Reconciliation(self.store, self.metadata, self.metadata, ledger, self.clock)

    async def reconcile(self) -> tuple[str, dict[str, int]]:
        with capture_logs() as lines:
            await self.reconciliation().run()
        (line,) = lines
        return line["event"], {name: line[name] for name in ("found", "lost") if name in line}


@pytest.fixture
async def cellar(tmp_path: Path) -> AsyncIterator[Cellar]:
    metadata = SqlMetadata.open(tmp_path / "entrepot.db")
    cellar = Cellar(tmp_path, FilesystemBlobs(tmp_path), metadata, VirtualClock(autojump=True))
    yield cellar
    await metadata.close()
    cellar.store.close()


async def test_a_blob_that_was_stored_but_not_recorded_is_recorded(cellar: Cellar) -> None:
    known, found = await cellar.keep(b"known"), await cellar.keep(b"found")
    await cellar.metadata.record_stored(known, 5, 1.0)
    assert await cellar.reconcile() == ("blobs_reconciled", {"found": 1, "lost": 0})
    assert cellar.metadata.is_stored(found)
    assert await cellar.reconcile() == ("blobs_reconciled", {"found": 0, "lost": 0})


async def test_a_record_whose_blob_is_gone_is_forgotten(cellar: Cellar) -> None:
    kept, lost = await cellar.keep(b"kept"), Digest.of(b"lost")
    for digest in (kept, lost):
        await cellar.metadata.record_stored(digest, 4, 1.0)
    assert await cellar.reconcile() == ("blobs_reconciled", {"found": 0, "lost": 1})
    assert cellar.metadata.stored_after(None, 10) == [kept]


async def test_what_is_just_being_evicted_is_not_lost(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = await depot.keep(b"one", b"two", b"three")
    are_gone, may_go_on, evict = asyncio.Event(), asyncio.Event(), depot.index.evict

    async def slowly(victims: Sequence[Candidate]) -> list[Candidate]:
        are_gone.set()
        await may_go_on.wait()
        evicted: list[Candidate] = await evict(victims)
        return evicted

    monkeypatch.setattr(depot.index, "evict", slowly)
    evicting = asyncio.ensure_future(depot.eviction.remove(digests[:2], "request"))
    await are_gone.wait()
    (depot.store._root / blob_path(digests[2])).unlink()
    report = await Reconciliation(depot.store, depot.index, depot.index, depot.ledger, depot.clock).run()
    may_go_on.set()
    assert (report.counts["lost"], (await evicting).size) == (1, 2 * 4096)
    assert depot.kept(digests) == [False] * 3


async def test_blobs_that_are_looked_for_are_not_kept_open(cellar: Cellar) -> None:
    kept = await cellar.keep(b"kept")
    await cellar.metadata.record_stored(kept, 4, 1.0)
    await cellar.reconcile()
    assert cellar.store._open_files.find(kept) is None


async def test_many_blobs_are_gone_through_at_leisure(cellar: Cellar) -> None:
    for number in range(250):
        await cellar.metadata.record_stored(Digest.of(f"lost {number}".encode()), 1, 1.0)
    for number in range(120):
        path = cellar.folder / blob_path(Digest.of(f"found {number}".encode()))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert await cellar.reconcile() == ("blobs_reconciled", {"found": 120, "lost": 250})
    assert len(cellar.metadata.stored_after(None, 1000)) == 120
    assert cellar.clock.sleeps[:5] == [0.05] * 5


async def test_what_a_crash_left_is_dropped(cellar: Cellar) -> None:
    kept = await cellar.keep(b"kept")
    (cellar.folder / "spool" / f"sha256-{Digest.of(b'lost').hex}.part").write_bytes(b"lo")
    (cellar.folder / "spool" / f"sha256-{Digest.of(b'torn').hex}.journal.new").write_bytes(b"")
    with capture_logs() as lines:
        await cellar.reconciliation().run()
    assert lines[0]["swept"] == 2
    assert cellar.store.open(kept) is not None
    assert list((cellar.folder / "spool").iterdir()) == []


async def test_what_cannot_be_read_is_left_to_the_next_run(cellar: Cellar) -> None:
    kept = await cellar.keep(b"kept")
    await cellar.metadata.record_stored(kept, 4, 1.0)
    path = cellar.folder / blob_path(kept)
    path.unlink()
    path.mkdir()
    assert await cellar.reconcile() == ("blobs_not_reconciled", {})
    assert cellar.metadata.is_stored(kept)
