"""What readers of one fill must not do to one another, and upstreams not to the fill."""

from __future__ import annotations

import asyncio
import errno
import os
import random

import pytest
from tests.engine.conftest import MIB, Yard, take

from entrepot.engine.fetch import Source
from entrepot.engine.flights import Flights
from entrepot.errors import EntrepotError, StoreFailed, UpstreamDown, WrongContent
from entrepot.oci.reference import Repository
from entrepot.ports.disk import Space
from entrepot.storage.spool import FileSpool

CONTENT = random.Random(11).randbytes(12 * MIB + 5)
SIZE = len(CONTENT)
ABSENT = Repository("docker.io", "library/absent")
NO_CUT = 1 << 40


async def test_a_far_range_that_fails_breaks_nobody_else(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.cuts = [NO_CUT] + [0] * 4
    async with yard.reading(source, SIZE) as fill:
        await fill.ready(0, None)
        yard.upstream.gate.clear()
        far = asyncio.ensure_future(yard.read(source, 11 * MIB, 11 * MIB + 9, size=SIZE))
        await yard.until(lambda: len(yard.upstream.downloads) == 2)
        yard.upstream.gate.set()
        with pytest.raises(UpstreamDown):
            await far
        await fill.ready(0, None)
        assert b"".join([take(piece) async for piece in fill.pieces(0, None)]) == CONTENT


async def test_a_source_that_refuses_does_not_end_what_another_can_resume(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.cuts = [3 * MIB]
    async with yard.reading(source, None) as fill:
        fill.sources.append(Source(yard.upstream, ABSENT, source.digest))
        await fill.ready(0, None)
        assert b"".join([take(piece) async for piece in fill.pieces(0, None)]) == CONTENT


async def test_an_upstream_without_range_is_read_once_for_a_range_and_the_whole(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.honours_range = False
    assert await yard.read(source, SIZE - 9, SIZE, size=SIZE) == CONTENT[-9:]
    assert await yard.read(source, size=SIZE) == CONTENT
    assert yard.upstream.sent == SIZE


async def test_an_upstream_without_range_is_read_once_for_the_whole_and_a_range(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.honours_range = False
    async with yard.reading(source, SIZE) as fill:
        await fill.ready(0, None)
        whole = asyncio.ensure_future(yard.read(source, size=SIZE))
        assert await yard.read(source, SIZE - 9, SIZE, size=SIZE) == CONTENT[-9:]
        assert await whole == CONTENT
    # The connection for the range, which turned out to start at the beginning, was given up at once.
    assert yard.upstream.sent <= SIZE + 2 * yard.upstream.chunk


async def test_a_whole_copy_of_unknown_size_is_recognized(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.tells_size = False
    spool = await yard.store.spool(source.digest)
    await spool.write(0, CONTENT)
    await spool.close()
    assert await yard.read(source) == CONTENT
    assert yard.upstream.downloads == []


async def test_a_partial_copy_of_unknown_size_is_completed(yard: Yard) -> None:
    source = yard.add(CONTENT)
    spool = await yard.store.spool(source.digest)
    await spool.write(0, CONTENT[: 2 * MIB])
    await spool.close()
    assert await yard.read(source) == CONTENT
    assert yard.upstream.downloads == [(2 * MIB, None)]


async def test_a_reader_that_joins_while_no_size_is_known_breaks_nothing(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.tells_size = False
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(yard.read(source)) for _ in range(5)]
    assert all(reader.result() == CONTENT for reader in readers)
    assert yard.upstream.sent == SIZE


async def test_a_range_beyond_what_the_upstream_has_is_no_endless_wait(yard: Yard) -> None:
    source = yard.add(CONTENT)
    with pytest.raises(WrongContent, match="ends before"):
        await yard.read(source, SIZE + MIB, SIZE + 2 * MIB)


async def test_a_store_that_fails_in_an_unforeseen_way_ends_the_wait(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = yard.add(CONTENT)

    def fail() -> Space:
        raise ZeroDivisionError

    monkeypatch.setattr(yard.disk, "space", fail)
    with pytest.raises(EntrepotError, match="unexpectedly"):
        await yard.read(source)
    await yard.close()
    await asyncio.sleep(0)
    assert len(yard.upstream.downloads) == 1
    assert [type(crash) for crash in yard.crashes] == [ZeroDivisionError]
    yard.crashes.clear()


async def test_a_disk_that_cannot_be_read_back_turns_the_fill_into_a_pass_through(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = yard.add(CONTENT[:MIB])
    spool = await yard.store.spool(source.digest)

    async def fail(*_: object) -> None:
        raise StoreFailed("the disk is broken")

    monkeypatch.setattr(type(spool), "feed", fail)
    await spool.close()
    with pytest.raises(StoreFailed):
        await yard.read(source)
    await yard.settle()
    assert yard.held(source.digest) is None


async def test_a_spool_that_cannot_be_closed_is_counted_no_longer(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = yard.add(CONTENT[:MIB])
    close = FileSpool.close

    async def fail(spool: FileSpool) -> None:
        await close(spool)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(FileSpool, "close", fail)
    await yard.read(source)
    await yard.until(lambda: not len(yard.fills) and not len(yard.fills._closings))
    assert yard.ledger.claims() == set()


async def test_a_flight_that_ended_is_not_joined() -> None:
    flights = Flights[str, int]()
    numbers = iter(range(5))

    async def call() -> int:
        return next(numbers)

    # Callbacks of a task run after it: here the ended flight is still in the book.
    first = flights.launch("key", call)
    await asyncio.sleep(0)
    assert first.done()
    assert len(flights) == 1
    assert await flights.join("key", call) == 1


async def test_ending_the_process_syncs_what_is_left_to_be_resumed(yard: Yard) -> None:
    source = yard.add(CONTENT)
    async with yard.reading(source, None) as fill:
        await fill.ready(0, None)
    await yard.tasks.close()
    await yard.fills.close()
    journals = list(yard.store._root.glob("spool/*.journal"))
    assert [journal.read_text().endswith("synced\n") for journal in journals] == [True]


async def test_an_upstream_that_ends_too_early_for_ever_is_given_up(yard: Yard) -> None:
    """It does not honour Range, tells no length and ends cleanly: a truncating proxy, a portal."""
    source = yard.add(CONTENT)
    yard.upstream.blobs[source.repository.name, source.digest] = CONTENT[: 5 * MIB]
    yard.upstream.honours_range = yard.upstream.tells_size = False
    with pytest.raises(UpstreamDown, match="too early"):
        await yard.read(source, size=SIZE)
    assert len(yard.upstream.downloads) < 10
