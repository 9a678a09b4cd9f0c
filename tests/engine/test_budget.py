"""What may be held, and who has to go for it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from tests.engine.conftest import MIB, UNBOUNDED, Depot, take

from entrepot.engine.eviction import Protect
from entrepot.engine.pieces import Span
from entrepot.errors import StoreFailed
from entrepot.oci.digest import Digest
from entrepot.ports.disk import Space
from entrepot.ports.metadata import Use
from entrepot.storage.layout import blob_path, spool_path
from entrepot.telemetry.metrics import Metrics


def _blob(number: int, size: int = MIB) -> bytes:
    return random.Random(number).randbytes(size)


def _bounded(depot: Depot, size: int) -> None:
    depot.bounds = replace(UNBOUNDED, max_size=size)


def _protecting(digests: Collection[Digest]) -> Protect:
    async def protect(_page: object) -> Collection[Digest]:
        return digests

    return protect


async def _cut_off(depot: Depot, content: bytes) -> Digest:
    """Leave the first half of a blob in a spool that nobody fills."""
    source = depot.add(content)
    await depot.read(source, 0, len(content) // 2)
    await depot.settle()
    return source.digest


async def test_a_fill_makes_room_before_it_grows(depot: Depot) -> None:
    digests = await depot.keep(*map(_blob, range(3)))
    _bounded(depot, 3 * MIB)
    source = depot.add(_blob(3))
    async with depot.reading(source, None) as fill:
        await fill.ready(0, None)
        async for _ in fill.pieces(0, None):
            assert depot.taken <= 3 * MIB
    await depot.settle()
    assert depot.kept([*digests, source.digest]) == [False, True, True, True]
    assert depot.taken == 3 * MIB


async def test_what_is_held_is_shown_beside_where_eviction_begins_and_where_filling_ends(
    depot: Depot,
) -> None:
    depot.bounds = replace(UNBOUNDED, max_size=4 * MIB, high=0.75, low=0.5)
    await depot.keep(_blob(1))
    metrics = Metrics()
    depot.budget.observe(metrics)
    shown = (metrics.cache_bytes, metrics.cache_watermark, metrics.cache_limit, metrics.cache_blobs)
    assert [gauge()._value.get() for gauge in shown] == [MIB, 3 * MIB, 4 * MIB, 1]


async def test_no_more_goes_than_has_to(depot: Depot) -> None:
    digests = await depot.keep(*map(_blob, range(4)))
    _bounded(depot, 5 * MIB)
    await depot.keep(_blob(4))
    assert depot.kept(digests) == [True] * 4
    await depot.keep(_blob(5, MIB + 1))
    assert depot.kept(digests) == [False, False, True, True]


async def test_what_is_larger_than_the_budget_is_passed_through_and_nothing_goes_for_it(depot: Depot) -> None:
    digests = await depot.keep(*map(_blob, range(3)))
    _bounded(depot, 4 * MIB)
    content = _blob(9, 4 * MIB + 1)
    with capture_logs() as lines:
        assert await depot.read(depot.add(content)) == content
    assert depot.kept([*digests, Digest.of(content)]) == [True, True, True, False]
    assert [line["event"] for line in lines] == ["blob_passed_through"]
    await depot.settle()
    assert depot.taken == 3 * MIB


async def test_a_stretch_of_it_is_not_kept_either(depot: Depot) -> None:
    _bounded(depot, 2 * MIB)
    content = _blob(9, 3 * MIB)
    assert await depot.read(depot.add(content), 10, 20) == content[10:20]
    await depot.settle()
    assert depot.taken == 0


async def test_fills_at_once_are_not_promised_the_same_room(depot: Depot) -> None:
    digests = await depot.keep(*map(_blob, range(3)))
    _bounded(depot, 3 * MIB)
    depot.upstream.gate.clear()
    sources = [depot.add(_blob(number)) for number in range(10, 15)]
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(depot.read(source)) for source in sources]
        await depot.until(lambda: len(depot.upstream.downloads) == 10)
        assert depot.kept(digests) == [False] * 3
        assert depot.taken == 3 * MIB
        depot.upstream.gate.set()
    assert [reader.result() for reader in readers] == [_blob(number) for number in range(10, 15)]
    await depot.settle()
    assert sum(depot.kept([source.digest for source in sources])) == 3


async def test_a_blob_of_unknown_size_is_given_room_as_it_grows(depot: Depot) -> None:
    digests = await depot.keep(*(_blob(number, 6 * MIB) for number in range(2)))
    _bounded(depot, 22 * MIB)
    depot.upstream.tells_size = False
    large = _blob(7, 12 * MIB)
    assert await depot.read(depot.add(large)) == large
    await depot.settle()
    assert depot.kept([*digests, Digest.of(large)]) == [False, True, True]
    assert depot.taken == 18 * MIB


async def test_a_blob_of_unknown_size_that_outgrows_the_budget_is_whole_all_the_same(depot: Depot) -> None:
    _bounded(depot, 10 * MIB)
    depot.upstream.tells_size = False
    large = _blob(7, 12 * MIB)
    assert await depot.read(depot.add(large)) == large
    await depot.settle()
    assert depot.held(Digest.of(large)) is None
    assert depot.taken == 0


async def test_what_is_used_often_stays_through_a_sweep(depot: Depot) -> None:
    hot = await depot.keep(*map(_blob, range(2)))
    _bounded(depot, 4 * MIB)
    for _ in range(3):
        await depot.index.record_uses([Use(digest, depot.clock.now(), 5) for digest in hot])
    await depot.keep(*map(_blob, range(100, 110)))
    assert depot.kept(hot) == [True, True]


async def test_what_was_popular_once_does_not_stay_for_ever(depot: Depot) -> None:
    (old,) = await depot.keep(_blob(0))
    await depot.index.record_uses([Use(old, depot.clock.now(), 5)])
    _bounded(depot, 2 * MIB)
    await depot.keep(*map(_blob, range(100, 110)))
    assert depot.kept([old]) == [False]


async def test_a_use_that_is_not_recorded_yet_counts(depot: Depot) -> None:
    digests = await depot.keep(*map(_blob, range(2)))
    _bounded(depot, 2 * MIB)
    depot.uses.note(digests[0])
    await depot.keep(_blob(2))
    assert depot.kept(digests) == [True, False]


async def test_a_blob_that_is_evicted_under_its_reader_is_read_whole(depot: Depot) -> None:
    (digest,) = await depot.keep(_blob(0))
    _bounded(depot, MIB)
    blob = depot.store.open(digest)
    assert blob is not None
    await depot.keep(_blob(1))
    assert depot.held(digest) is None
    assert take(Span(blob.fileno(), 0, blob.size)) == _blob(0)
    blob.close()


async def test_spools_that_nobody_fills_go_first_the_oldest_in_front(depot: Depot) -> None:
    digests = await depot.keep(_blob(0))
    spools = []
    for number in (5, 6):
        spools.append(await _cut_off(depot, _blob(number, 4 * MIB)))
        depot.clock.advance(1)
    assert depot.taken == 5 * MIB
    _bounded(depot, 5 * MIB)
    digests += await depot.keep(_blob(1, 2 * MIB))
    assert depot.kept(digests) == [True, True]
    parts = [(depot.store._root / spool_path(digest)).exists() for digest in spools]
    assert parts == [False, True]


async def test_a_spool_that_is_filled_again_is_no_idle_one(depot: Depot) -> None:
    await depot.keep(_blob(0))
    content = _blob(5, 2 * MIB)
    await _cut_off(depot, content)
    _bounded(depot, 3 * MIB)
    assert await depot.read(depot.add(content)) == content
    await depot.settle()
    assert depot.held(Digest.of(content)) == content
    assert len(depot.upstream.downloads) == 3
    assert depot.taken == 3 * MIB


async def test_a_spool_that_is_being_dropped_is_gone_before_it_is_opened_anew(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = _blob(5, 2 * MIB)
    await _cut_off(depot, content)
    (spool,) = depot.ledger.idle
    may_go, drop_spool = asyncio.Event(), depot.disk.drop_spool

    async def slowly(digest: Digest) -> None:
        await may_go.wait()
        await drop_spool(digest)

    monkeypatch.setattr(depot.disk, "drop_spool", slowly)
    dropping = asyncio.ensure_future(depot.ledger.drop(spool))
    await asyncio.sleep(0)
    reading = asyncio.ensure_future(depot.read(depot.add(content)))
    await asyncio.sleep(0.01)
    may_go.set()
    assert await dropping is True
    assert await reading == content
    await depot.settle()
    assert depot.held(Digest.of(content)) == content


async def test_no_spool_stays_for_longer_than_a_week_unused(depot: Depot) -> None:
    digest = await _cut_off(depot, _blob(5, 2 * MIB))
    (spool,) = depot.ledger.idle
    await depot.eviction.drop_idle(spool.written_at)
    assert (depot.store._root / spool_path(digest)).exists()
    await depot.eviction.drop_idle(spool.written_at + 1)
    assert not (depot.store._root / spool_path(digest)).exists()
    assert depot.taken == 0


async def test_a_lowered_budget_is_kept_to_behind_the_answers(depot: Depot) -> None:
    digests = await depot.keep(*map(_blob, range(10)))
    depot.bounds = replace(UNBOUNDED, max_size=5 * MIB, high=0.9, low=0.6)
    depot.budget.trim()
    await depot.until(lambda: depot.taken <= 3 * MIB)
    assert depot.kept(digests) == [False] * 7 + [True] * 3


async def test_one_pass_writes_one_line(depot: Depot) -> None:
    await depot.keep(*map(_blob, range(10)))
    _bounded(depot, 4 * MIB)
    with capture_logs() as lines:
        await depot.budget.tidy()
    (line,) = lines
    assert line["event"] == "evicted"
    assert line["reason"] == "budget"
    assert line["blobs"] >= 6


async def test_the_survey_counts_what_lies_beside_the_content(depot: Depot, tmp_path: Path) -> None:
    await depot.keep(_blob(0))
    (tmp_path / "entrepot.db.corrupt-1").write_bytes(bytes(3 * MIB))
    await depot.ledger.survey()
    assert depot.taken > 4 * MIB


async def test_a_survey_does_not_take_what_changes_meanwhile_for_what_is_idle(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey, content = depot.disk.survey, _blob(3)
    depot.upstream.gate.clear()
    reading = asyncio.ensure_future(depot.read(depot.add(content)))
    await depot.until(lambda: bool(depot.ledger.claims()))

    async def overtaken() -> object:
        seen = await survey()
        depot.upstream.gate.set()
        await reading
        await depot.settle()
        return seen

    monkeypatch.setattr(depot.disk, "survey", overtaken)
    await depot.ledger.survey()
    assert depot.ledger.idle == []


async def test_a_disk_that_is_short_is_made_room_on(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = await depot.keep(*map(_blob, range(3)))
    depot.bounds = replace(UNBOUNDED, min_free=10 * MIB)
    total = 13 * MIB + MIB // 2
    monkeypatch.setattr(depot.disk, "space", lambda: Space(total, total - depot.written))
    content = _blob(5)
    with capture_logs() as lines:
        assert await depot.read(depot.add(content)) == content
    await depot.settle()
    assert depot.kept([*digests, Digest.of(content)]) == [False, True, True, True]
    assert lines[0]["reason"] == "disk"


async def test_protected_content_stays_and_is_put_behind_the_rest(depot: Depot) -> None:
    digests = await depot.keep(*map(_blob, range(4)))
    pinned = set(digests[:2])
    depot.eviction.protect = _protecting(pinned)
    _bounded(depot, 4 * MIB)
    await depot.keep(_blob(4))
    assert depot.kept(digests) == [True, True, False, True]
    first = depot.index.lowest(None, 1)[0]
    assert first.digest not in pinned


async def test_what_is_pinned_while_much_goes_stays(depot: Depot) -> None:
    digests = await depot.keep(*(_blob(number, 4096) for number in range(60)))
    answers: list[Collection[Digest]] = [(), ()]  # The plan, of two pages.

    async def protect(_page: object) -> Collection[Digest]:
        return answers.pop(0) if answers else digests

    depot.eviction.protect = protect
    assert await depot.eviction.free(60 * 4096, depot.eviction.tally("budget")) == 50 * 4096
    assert depot.kept(digests).count(True) == 10


async def test_what_is_pinned_just_before_it_expires_stays(depot: Depot) -> None:
    pinned, other = await depot.keep(_blob(0), _blob(1))
    depot.eviction.protect = _protecting([pinned])
    assert (await depot.eviction.remove([pinned, other], "unused")).size == MIB
    assert depot.kept([pinned, other]) == [True, False]


async def test_where_all_is_protected_content_is_passed_through_and_nothing_goes(depot: Depot) -> None:
    digests = await depot.keep(*map(_blob, range(3)))
    depot.eviction.protect = _protecting(digests[:2])
    _bounded(depot, 3 * MIB)
    content = _blob(5, 2 * MIB)
    assert await depot.read(depot.add(content)) == content
    await depot.settle()
    assert depot.kept([*digests, Digest.of(content)]) == [True, True, True, False]


async def test_bounds_that_cannot_be_kept_are_complained_of_once(depot: Depot) -> None:
    digests = await depot.keep(*map(_blob, range(3)))
    depot.eviction.protect = _protecting(digests)
    _bounded(depot, MIB)
    with capture_logs() as lines:
        await depot.budget.tidy()
        await depot.budget.tidy()
    assert [line["event"] for line in lines] == ["budget_exceeded"]
    assert depot.kept(digests) == [True] * 3


async def test_given_content_is_removed_for_a_reason(depot: Depot) -> None:
    digests = await depot.keep(*map(_blob, range(3)))
    depot.uses.note(digests[0])
    with capture_logs() as lines:
        assert (await depot.eviction.remove([digests[0], digests[2]], "expired")).size == 2 * MIB
    assert depot.kept(digests) == [False, True, False]
    assert lines == [
        {"event": "evicted", "log_level": "info", "reason": "expired", "bytes": 2 * MIB, "blobs": 2}
    ]


async def test_a_disk_that_does_not_let_go_ends_the_pass_with_a_warning(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = await depot.keep(*map(_blob, range(3)))

    async def fail(_digest: Digest) -> bool:
        raise StoreFailed("read-only")

    monkeypatch.setattr(depot.store, "delete", fail)
    _bounded(depot, 3 * MIB)
    content = _blob(5)
    with capture_logs() as lines:
        assert await depot.read(depot.add(content)) == content
    assert depot.kept(digests) == [True] * 3
    assert {line["event"] for line in lines} == {"blobs_not_deleted", "blob_passed_through"}


async def test_a_record_whose_file_a_crash_took_goes_with_the_next_pass(depot: Depot, tmp_path: Path) -> None:
    digests = await depot.keep(*map(_blob, range(2)))
    (tmp_path / blob_path(digests[0])).unlink()
    _bounded(depot, 2 * MIB)
    await depot.keep(_blob(2))
    assert depot.kept(digests) == [False, True]


async def test_a_great_many_tiny_blobs_count_with_their_blocks(depot: Depot) -> None:
    for number in range(1500):
        digest = Digest.of(str(number).encode())
        await depot.index.record_stored(digest, 10, depot.clock.now())
    assert depot.taken == 1500 * 4096
    _bounded(depot, 500 * 4096)
    await depot.budget.tidy()
    assert depot.ledger.stored.blobs < 500
