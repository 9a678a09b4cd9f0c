"""Fills: one download, many readers, right bytes or none."""

from __future__ import annotations

import asyncio
import gc
import random
import re
from pathlib import Path

import pytest
from tests.engine.conftest import MIB, Yard, take

from entrepot.engine.fetch import Source
from entrepot.engine.fill import Fill
from entrepot.errors import BlobNotHere, EntrepotError, Refused, UpstreamDown, UpstreamLoops, WrongContent
from entrepot.oci.reference import Repository

ABSENT = Repository("docker.io", "library/absent")
CONTENT = random.Random(7).randbytes(5 * MIB + 12345)


@pytest.fixture(params=[False, True], ids=["handed over", "taken where they come"])
def yard(yard: Yard, request: pytest.FixtureRequest) -> Yard:
    """Get the bytes of downloads in either way."""
    yard.upstream.diverts = request.param
    return yard


async def _read_into(got: list[bytes], fill: Fill) -> None:
    async for piece in fill.pieces(0, None):
        got += [take(piece)]


async def test_a_cold_blob_is_read_whole_and_kept(yard: Yard) -> None:
    source = yard.add(CONTENT)
    assert await yard.read(source) == CONTENT
    await yard.settle()
    assert yard.held(source.digest) == CONTENT
    assert yard.stored == [(source.digest, len(CONTENT))]


async def test_an_empty_blob_is_a_blob(yard: Yard) -> None:
    source = yard.add(b"")
    assert await yard.read(source) == b""
    await yard.settle()
    assert yard.held(source.digest) == b""


async def test_fifty_readers_cost_one_download(yard: Yard) -> None:
    source = yard.add(CONTENT)
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(yard.read(source)) for _ in range(50)]
    assert all(reader.result() == CONTENT for reader in readers)
    assert yard.upstream.downloads == [(0, None)]
    assert yard.upstream.sent == len(CONTENT)


async def test_bytes_are_served_while_the_rest_is_still_to_come(yard: Yard) -> None:
    source = yard.add(CONTENT)
    async with yard.reading(source, None) as fill:
        await fill.ready(0, None)
        pieces = fill.pieces(0, None)
        assert take(await anext(pieces)) == CONTENT[: yard.upstream.chunk]
        yard.upstream.gate.clear()
        assert yard.upstream.sent < len(CONTENT)
        yard.upstream.gate.set()
        await pieces.aclose()


async def test_the_download_goes_on_when_every_client_has_left(yard: Yard) -> None:
    source = yard.add(CONTENT)
    async with yard.reading(source, None) as fill:
        await fill.ready(0, None)
    await yard.settle()
    assert yard.held(source.digest) == CONTENT


@pytest.mark.parametrize("cuts", [[3 * MIB], [MIB, MIB, MIB], [2 * MIB, 0, 0, 2 * MIB]])
async def test_a_broken_connection_is_taken_up_where_it_broke(yard: Yard, cuts: list[int]) -> None:
    source = yard.add(CONTENT)
    yard.upstream.cuts = list(cuts)
    assert await yard.read(source) == CONTENT
    assert yard.upstream.sent == len(CONTENT)


async def test_without_range_a_broken_download_is_read_again_from_the_start(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.honours_range = False
    yard.upstream.cuts = [3 * MIB]
    assert await yard.read(source) == CONTENT
    assert yard.upstream.sent == 3 * MIB + len(CONTENT)


@pytest.mark.parametrize("refusal", [Refused("403"), BlobNotHere("404")], ids=repr)
async def test_who_refuses_what_it_gave_a_part_of_is_asked_once_more(
    yard: Yard, refusal: EntrepotError
) -> None:
    source = yard.add(CONTENT)
    yard.upstream.cuts = [3 * MIB]
    yard.upstream.refusals = {2: refusal}
    assert await yard.read(source) == CONTENT
    assert yard.upstream.sent == len(CONTENT)


async def test_who_refuses_twice_what_it_gave_a_part_of_is_not_asked_again(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.cuts = [3 * MIB]
    yard.upstream.refusals = {2: Refused("403"), 3: Refused("403")}
    with pytest.raises(Refused):
        await yard.read(source)
    assert len(yard.upstream.downloads) == 3


async def test_an_upstream_that_always_breaks_at_once_ends_in_a_failure(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.cuts = [0] * 100
    with pytest.raises(UpstreamDown):
        await yard.read(source)
    assert len(yard.upstream.downloads) < 10


async def test_an_upstream_that_breaks_at_the_same_byte_from_the_start_is_not_asked_for_long(
    yard: Yard,
) -> None:
    source = yard.add(CONTENT)
    yard.upstream.honours_range = False
    yard.upstream.cuts = [3 * MIB] * 100
    with pytest.raises(UpstreamDown):
        await yard.read(source)
    assert len(yard.upstream.downloads) <= 5


async def test_an_upstream_that_leads_in_a_circle_is_asked_once(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.failure = UpstreamLoops("redirects in a circle")
    with pytest.raises(UpstreamLoops):
        await yard.read(source)
    assert len(yard.upstream.asked) == 1


async def test_after_a_failure_the_next_reader_fetches_only_what_is_missing(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.cuts = [3 * MIB] + [0] * 10
    with pytest.raises(UpstreamDown):
        await yard.read(source)
    yard.upstream.cuts = []
    assert await yard.read(source) == CONTENT
    assert yard.upstream.sent == len(CONTENT)


async def test_a_restart_resumes_what_was_there(yard: Yard) -> None:
    source = yard.add(CONTENT)
    async with yard.reading(source, None) as fill:
        await fill.ready(0, None)
        async for piece in fill.pieces(0, None):
            if len(take(piece)) and fill.progress >= 2 * MIB:
                break
    await yard.restart()
    assert await yard.read(source, size=len(CONTENT)) == CONTENT
    assert yard.upstream.sent <= len(CONTENT) + 2 * yard.upstream.chunk


async def test_a_partial_copy_is_no_answer_while_the_upstream_is_down(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.cuts = [3 * MIB] + [0] * 10
    with pytest.raises(UpstreamDown):
        await yard.read(source)
    yard.upstream.failure = UpstreamDown("nobody answers")
    async with yard.reading(source, len(CONTENT)) as fill:
        with pytest.raises(UpstreamDown, match="nobody answers"):
            await fill.ready(0, None)


@pytest.mark.parametrize("tells_size", [True, False])
async def test_wrong_bytes_never_end_well_and_are_not_kept(yard: Yard, *, tells_size: bool) -> None:
    source = yard.add(CONTENT)
    wrong = CONTENT[:MIB] + b"!" + CONTENT[MIB + 1 :]
    yard.upstream.blobs[source.repository.name, source.digest] = wrong
    yard.upstream.tells_size = tells_size
    got: list[bytes] = []
    async with yard.reading(source, None) as fill:
        await fill.ready(0, None)
        with pytest.raises(WrongContent):
            await _read_into(got, fill)
    assert sum(map(len, got)) < len(CONTENT)
    await yard.settle()
    assert yard.held(source.digest) is None
    assert yard.upstream.origin.distrusted == [source.digest]
    yard.upstream.blobs[source.repository.name, source.digest] = CONTENT
    assert await yard.read(source) == CONTENT
    assert yard.upstream.origin.distrusted == [source.digest]


async def test_a_small_wrong_blob_is_refused_before_its_first_byte(yard: Yard) -> None:
    source = yard.add(b"config")
    yard.upstream.blobs[source.repository.name, source.digest] = b"Config"
    async with yard.reading(source, None) as fill:
        with pytest.raises(WrongContent):
            await fill.ready(0, None)


@pytest.mark.parametrize("error", [-1, 1, MIB])
async def test_where_the_manifest_errs_in_a_length_the_digest_decides(yard: Yard, error: int) -> None:
    source, told = yard.add(CONTENT), len(CONTENT) + error
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(yard.read(source, size=told)) for _ in range(5)]
    assert all(reader.result() == CONTENT for reader in readers)
    assert len(yard.upstream.downloads) <= 3
    await yard.settle()
    assert yard.held(source.digest) == CONTENT


async def test_wrong_bytes_of_another_length_than_the_manifest_tells_never_end_well(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.blobs[source.repository.name, source.digest] = CONTENT[:-5]
    with pytest.raises(WrongContent):
        await yard.read(source, size=len(CONTENT))
    assert len(yard.upstream.downloads) == 2
    await yard.settle()
    assert yard.held(source.digest) is None


async def test_what_is_shorter_than_what_is_here_already_does_not_take_its_place(yard: Yard) -> None:
    """As a page for people is, of a proxy that answers whatever is asked for."""
    source = yard.add(CONTENT)
    yard.upstream.cuts = [MIB // 2] + [0] * 10
    with pytest.raises(UpstreamDown):
        await yard.read(source, size=len(CONTENT))
    yard.upstream.cuts = []
    yard.upstream.blobs[source.repository.name, source.digest] = b"<html>"
    yard.upstream.honours_range = False
    with pytest.raises(WrongContent):
        await yard.read(source, size=len(CONTENT))
    yard.upstream.blobs[source.repository.name, source.digest] = CONTENT
    yard.upstream.honours_range = True
    yard.upstream.sent = 0
    assert await yard.read(source, size=len(CONTENT)) == CONTENT
    assert yard.upstream.sent == len(CONTENT) - MIB // 2


async def test_an_upstream_that_contradicts_itself_is_believed_last_and_not_asked_for_long(
    yard: Yard,
) -> None:
    source = yard.add(CONTENT)
    yard.upstream.cuts = [3 * MIB]
    yard.upstream.sizes = [None] + [len(CONTENT) + 1] * 100
    with pytest.raises(WrongContent, match="the upstream says"):
        await yard.read(source)
    assert set(yard.upstream.origin.distrusted) == {source.digest}
    assert len(yard.upstream.downloads) <= 5


async def test_where_parts_contradict_the_manifest_the_whole_is_asked_for(yard: Yard) -> None:
    yard.upstream.size_of_parts = len(CONTENT) + 7
    source = yard.add(CONTENT)
    assert await yard.read(source, MIB, MIB + 100, size=len(CONTENT)) == CONTENT[MIB : MIB + 100]
    assert yard.upstream.downloads == [(MIB, 2 * MIB), (0, None)]


async def test_a_blob_of_no_told_length_is_served_whole(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.upstream.tells_size = False
    assert await yard.read(source) == CONTENT
    await yard.settle()
    assert yard.held(source.digest) == CONTENT


async def test_a_range_at_the_end_of_a_cold_blob_fetches_only_its_blocks(yard: Yard) -> None:
    source = yard.add(CONTENT)
    size = len(CONTENT)
    assert await yard.read(source, size - 100, size, size=size) == CONTENT[-100:]
    assert yard.upstream.sent <= MIB
    assert yard.held(source.digest) is None


async def test_eight_parallel_ranges_move_every_byte_once_and_make_a_blob(yard: Yard) -> None:
    source = yard.add(CONTENT)
    size, step = len(CONTENT), len(CONTENT) // 8 + 1
    async with asyncio.TaskGroup() as group:
        readers = [
            group.create_task(yard.read(source, start, min(start + step, size), size=size))
            for start in range(0, size, step)
        ]
    assert b"".join(reader.result() for reader in readers) == CONTENT
    assert yard.upstream.sent == size
    await yard.settle()
    assert yard.held(source.digest) == CONTENT


async def test_a_far_range_does_not_wait_for_the_running_download(yard: Yard) -> None:
    big = random.Random(8).randbytes(12 * MIB)
    source = yard.add(big)
    async with yard.reading(source, len(big)) as fill:
        await fill.ready(0, None)
        assert (
            await yard.read(source, 11 * MIB, 11 * MIB + 10, size=len(big)) == big[11 * MIB : 11 * MIB + 10]
        )
        assert fill.progress < len(big)
        whole = b"".join([take(piece) async for piece in fill.pieces(0, None)])
    assert whole == big
    assert yard.upstream.sent <= len(big) + 2 * yard.upstream.chunk


async def test_a_second_source_takes_over_where_the_first_refuses(yard: Yard) -> None:
    source = yard.add(CONTENT)
    absent = Source(yard.upstream, ABSENT, source.digest)
    async with yard.reading(absent, None), yard.reading(source, None) as fill:
        await fill.ready(0, None)
        assert b"".join([take(piece) async for piece in fill.pieces(0, None)]) == CONTENT


async def test_a_blob_that_is_nowhere_says_so(yard: Yard) -> None:
    source = yard.add(CONTENT)
    with pytest.raises(BlobNotHere):
        await yard.read(Source(yard.upstream, ABSENT, source.digest))
    await yard.settle()


async def test_nothing_stays_open_when_all_is_done(yard: Yard) -> None:
    gc.collect()  # What earlier tests left would be closed in between.
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(5):
        await yard.read(yard.add(CONTENT[number:]))
    await yard.settle()
    await yard.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_a_reader_that_comes_when_the_blob_proved_wrong_does_not_wait_for_ever(yard: Yard) -> None:
    source = yard.add(b"config")
    yard.upstream.blobs[source.repository.name, source.digest] = b"Config"
    async with yard.reading(source, None) as fill:
        with pytest.raises(WrongContent):
            await fill.ready(0, None)
        with pytest.raises(WrongContent):
            await _read_into([], fill)


async def test_a_range_of_a_blob_of_unknown_size_ends_where_the_blob_ends(yard: Yard) -> None:
    source = yard.add(CONTENT)
    assert await yard.read(source, len(CONTENT) - 9, len(CONTENT)) == CONTENT[-9:]
    assert len(yard.upstream.downloads) == 1


async def test_what_is_here_is_not_written_again_by_an_upstream_without_ranges(yard: Yard) -> None:
    """It has been hashed: what comes in its place is not what was verified."""
    source = yard.add(CONTENT)
    yard.upstream.chunk = 512 << 10
    assert await yard.read(source, 2 * MIB, 3 * MIB, len(CONTENT)) == CONTENT[2 * MIB : 3 * MIB]
    yard.upstream.honours_range = False
    altered = CONTENT[: 2 * MIB] + bytes(MIB) + CONTENT[3 * MIB :]
    yard.upstream.blobs[source.repository.name, source.digest] = altered
    assert await yard.read(source, size=len(CONTENT)) == CONTENT
    await yard.settle()
    assert yard.held(source.digest) == CONTENT


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(BlobNotHere("none"), "not_found"), (UpstreamDown("gone"), "failed"), (Refused("no"), "failed")],
)
async def test_a_blob_that_is_nowhere_is_no_failed_download(
    yard: Yard, failure: EntrepotError, outcome: str
) -> None:
    """Whoever asks for one sets off no alert about the upstream."""
    source = yard.add(CONTENT)
    yard.upstream.failure = failure
    with pytest.raises(type(failure)):
        await yard.read(source)
    await yard.settle()
    counted = re.findall(r'fills_total{outcome="(\w+)".*} (\S+)', yard.metrics.render().decode())
    assert counted == [("started", "1.0"), (outcome, "1.0")]
