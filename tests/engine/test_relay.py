"""One download for many readers, when it is kept nowhere."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from entrepot.engine.relay import Relays
from entrepot.engine.tasks import Tasks
from entrepot.errors import UpstreamDown

CHUNK = 1 << 20
CONTENT = random.Random(4).randbytes(12 * CHUNK)


class Download:
    """Where the bytes come from; notes where each download began, and whether it was closed."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.sent = self.open = 0
        self.breaks_at: int | None = None

    async def begin(self, start: int, stop: int | None) -> AsyncGenerator[bytes]:
        self.begun.append(start)
        self.open += 1
        try:
            for position in range(start, len(CONTENT) if stop is None else stop, CHUNK):
                await asyncio.sleep(0)
                if self.breaks_at is not None and position >= self.breaks_at:
                    raise UpstreamDown("it broke")
                chunk = CONTENT[position : position + CHUNK]
                self.sent += len(chunk)
                yield chunk
        finally:
            self.open -= 1


@pytest.fixture
def download() -> Download:
    return Download()


@pytest.fixture
async def relays(download: Download) -> AsyncIterator[Relays]:
    crashes: list[BaseException] = []
    tasks = Tasks(lambda _name, failure: crashes.append(failure))
    yield Relays(download.begin, tasks, "test")
    for _ in range(10):  # Whoever left last has ended the download, without being waited for.
        await asyncio.sleep(0)
    assert download.open == 0
    await tasks.close()
    assert crashes == []


async def read(relays: Relays, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in relays.read(start, stop)])


async def test_all_who_come_together_share_one_download(relays: Relays, download: Download) -> None:
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read(relays)) for _ in range(20)]
    assert {reader.result() for reader in readers} == {CONTENT}
    assert download.begun == [0]


async def test_who_comes_a_little_later_still_joins(relays: Relays, download: Download) -> None:
    async with aclosing(relays.read(0, None)) as first:
        head = [await anext(first) for _ in range(3)]
        second = asyncio.ensure_future(read(relays))
        rest = [chunk async for chunk in first]
    assert (b"".join(head + rest), await second) == (CONTENT, CONTENT)
    assert download.begun == [0]


async def test_who_falls_behind_goes_on_alone_and_holds_up_nobody(relays: Relays, download: Download) -> None:
    async with aclosing(relays.read(0, None)) as slow:
        head = await anext(slow)
        assert await read(relays) == CONTENT
        assert head + b"".join([chunk async for chunk in slow]) == CONTENT
    assert len(download.begun) == 2
    assert download.begun[1] > 0


async def test_no_more_is_fetched_than_the_reader_ahead_asked_for(relays: Relays, download: Download) -> None:
    async with aclosing(relays.read(0, None)) as reader:
        await anext(reader)
        for _ in range(100):
            await asyncio.sleep(0)
        assert download.sent <= 2 * CHUNK


async def test_a_failure_reaches_every_reader_behind_what_came_before(
    relays: Relays, download: Download
) -> None:
    download.breaks_at = 2 * CHUNK

    async def collect(content: bytearray) -> None:
        async for chunk in relays.read(0, None):
            content += chunk

    async def broken() -> bytes:
        content = bytearray()
        with pytest.raises(UpstreamDown, match="it broke"):
            await collect(content)
        return bytes(content)

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(broken()) for _ in range(3)]
    assert {reader.result() for reader in readers} == {CONTENT[: 2 * CHUNK]}


async def test_a_reader_who_comes_when_the_last_has_left_begins_anew(
    relays: Relays, download: Download
) -> None:
    async with aclosing(relays.read(0, None)) as first:
        await anext(first)
    assert await read(relays) == CONTENT
    assert download.begun == [0, 0]


async def test_ranges_are_read_to_their_ends(relays: Relays, download: Download) -> None:
    assert await read(relays, CHUNK, 3 * CHUNK) == CONTENT[CHUNK : 3 * CHUNK]
    assert await read(relays, 5, 5) == b""
    assert download.begun == [CHUNK]
