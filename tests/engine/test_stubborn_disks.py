"""Files that do not go, room that shows up late, rows that are lost: the budget is kept all the same."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from tests.engine.conftest import MIB, UNBOUNDED, Depot

from entrepot.engine.reconcile import Reconciliation
from entrepot.errors import MetadataFailed, StoreFailed
from entrepot.oci.digest import Digest
from entrepot.storage.layout import blob_path


def _blob(number: int, size: int = MIB) -> bytes:
    return random.Random(number).randbytes(size)


def _bounded(depot: Depot, size: int) -> None:
    depot.bounds = replace(UNBOUNDED, max_size=size)


async def test_a_blob_that_cannot_be_deleted_holds_up_no_other(depot: Depot, tmp_path: Path) -> None:
    digests = await depot.keep(*map(_blob, range(4)))
    stuck = tmp_path / blob_path(digests[0])
    stuck.unlink()
    stuck.mkdir()
    _bounded(depot, 4 * MIB)
    assert [await depot.keep(_blob(number)) for number in (7, 8)]
    assert [depot.index.is_stored(digest) for digest in digests] == [True, False, False, True]
    assert depot.taken <= 4 * MIB


async def test_a_blob_that_cannot_be_moved_to_its_place_is_given_and_told(
    depot: Depot, tmp_path: Path
) -> None:
    source, content = depot.add(_blob(1)), _blob(1)
    place = (tmp_path / blob_path(source.digest)).parent
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"no folder")
    with capture_logs() as lines:
        assert await depot.read(source, size=len(content)) == content
        await depot.settle()
    assert [(line["event"], "cannot use" in line["reason"]) for line in lines] == [
        ("blob_passed_through", True)
    ]
    assert not depot.index.is_stored(source.digest)


async def test_room_that_the_file_system_is_slow_to_show_is_not_made_twice(depot: Depot) -> None:
    digests = await depot.keep(*map(_blob, range(20)))
    depot.disk.free = 0
    depot.bounds = replace(UNBOUNDED, high=0.95, low=0.9)
    for _ in range(3):
        await depot.budget.tidy()
    kept = sum(depot.kept(digests))
    assert kept >= 16
    depot.clock.advance(120)
    await depot.budget.tidy()
    assert sum(depot.kept(digests)) < kept


async def test_once_the_room_shows_the_next_pass_does_not_wait(depot: Depot) -> None:
    digests = await depot.keep(*map(_blob, range(20)))
    depot.disk.free = 0
    depot.bounds = replace(UNBOUNDED, high=0.95, low=0.9)
    await depot.budget.tidy()
    kept = sum(depot.kept(digests))
    depot.disk.free = (20 - kept) * MIB
    depot.bounds = replace(depot.bounds, min_free=depot.disk.free + 5 * MIB)
    await depot.budget.tidy()
    assert sum(depot.kept(digests)) < kept


async def test_what_others_write_meanwhile_is_not_taken_for_room_that_is_yet_to_show(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = await depot.keep(*map(_blob, range(20)))
    depot.disk.free = 20 * MIB
    depot.bounds = replace(UNBOUNDED, min_free=21 * MIB, high=0.95, low=0.9)
    delete, others = depot.store.delete, iter([12 * MIB])

    async def freeing(digest: Digest) -> bool:
        depot.disk.free += MIB - next(others, 0)
        return await delete(digest)

    monkeypatch.setattr(depot.store, "delete", freeing)
    for _ in range(2):
        await depot.budget.tidy()
    assert sum(depot.kept(digests)) < 10


async def test_blobs_that_no_row_tells_of_take_room_all_the_same(depot: Depot) -> None:
    digests = await depot.keep(*map(_blob, range(4)))
    for digest in digests:
        await depot.index.forget_stored(digest)
    _bounded(depot, 5 * MIB)
    reconciliation = Reconciliation(depot.store, depot.index, depot.index, depot.ledger, depot.clock)
    running = asyncio.ensure_future(reconciliation.run())
    await depot.until(lambda: depot.taken >= 4 * MIB)
    await depot.keep(_blob(8), _blob(9))
    assert depot.taken <= 5 * MIB
    await running
    assert depot.ledger.unrecorded == 0


async def test_a_step_that_is_begun_is_ended_though_nobody_waits_for_it(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = await depot.keep(*map(_blob, range(3)))
    may_go_on, delete = asyncio.Event(), depot.store.delete

    async def slow(digest: Digest) -> bool:
        await may_go_on.wait()
        return await delete(digest)

    monkeypatch.setattr(depot.store, "delete", slow)
    freeing = asyncio.ensure_future(depot.eviction.free(2 * MIB, depot.eviction.tally("budget")))
    await depot.until(lambda: len(depot.eviction._removals) == 1)
    freeing.cancel()
    may_go_on.set()
    await depot.eviction.close()
    assert depot.kept(digests) == [False, False, True]


async def test_a_pass_tells_that_the_disk_does_not_let_go_and_that_it_does_again(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = await depot.keep(*map(_blob, range(3)))

    async def fail(_digest: Digest) -> bool:
        raise StoreFailed("read-only")

    _bounded(depot, 2 * MIB)
    with monkeypatch.context() as broken:
        broken.setattr(depot.store, "delete", fail)
        assert (await depot.budget.tidy()).failure == "read-only"
        assert (await depot.eviction.remove(digests, "unused")).failure == "read-only"
    assert depot.kept(digests) == [True] * 3
    assert (await depot.budget.tidy()).failure is None
    assert sum(depot.kept(digests)) < 3


async def test_a_database_that_cannot_be_written_keeps_no_other_work_of_a_pass_from_being_done(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = await depot.keep(*map(_blob, range(3)))
    _bounded(depot, 2 * MIB)

    async def fail() -> bool:
        raise MetadataFailed("locked")

    monkeypatch.setattr(depot.index, "give_back", fail)
    assert (await depot.budget.tidy()).failure == "locked"
    assert sum(depot.kept(digests)) < 3
