"""A disk slower than the upstream: the download waits for it, and readers get their bytes."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from entrepot.testing.image_layout import pattern
from entrepot.testing.waiting import PATIENCE

CONTENT = pattern("slow", 4 << 20)
CHUNK = 64 << 10


class SlowSystem:
    """The real one, but that each write of content waits until it is let through."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._turns = threading.Semaphore(0)

    def pwrite(self, fd: int, content: bytes, offset: int, /) -> int:
        self.asked.set()
        assert self._turns.acquire(timeout=PATIENCE)
        return os.pwrite(fd, content, offset)

    def let_through(self, writes: int) -> None:
        self._turns.release(writes)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@pytest.fixture
def system(yard: Any) -> SlowSystem:
    slow = SlowSystem()
    yard.store._system = slow
    return slow


async def _settle() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def test_nothing_is_fetched_that_the_disk_has_not_taken(yard: Any, system: SlowSystem) -> None:
    reading = asyncio.create_task(yard.read(yard.add(CONTENT), size=len(CONTENT)))
    await asyncio.to_thread(system.asked.wait, PATIENCE)
    await _settle()
    assert yard.upstream.sent == CHUNK
    for written in range(1, 4):
        system.asked.clear()
        system.let_through(1)
        await asyncio.to_thread(system.asked.wait, PATIENCE)
        await _settle()
        assert yard.upstream.sent == (written + 1) * CHUNK
    system.let_through(1000)
    assert await reading == CONTENT
    assert yard.upstream.sent == len(CONTENT)


async def test_a_reader_gets_what_the_disk_has_taken_while_it_takes_more(
    yard: Any, system: SlowSystem
) -> None:
    source = yard.add(CONTENT)
    async with yard.reading(source, len(CONTENT)) as fill:
        system.let_through(4)
        await fill.ready(0, None)
        pieces, position = fill.pieces(0, None), 0
        while position < 4 * CHUNK:
            piece = await anext(pieces)
            assert (
                os.pread(piece.file, piece.stop - piece.start, piece.start)
                == CONTENT[piece.start : piece.stop]
            )
            position = piece.stop
        assert position == 4 * CHUNK
        system.let_through(1000)
        rest = [os.pread(piece.file, piece.stop - piece.start, piece.start) async for piece in pieces]
        assert b"".join(rest) == CONTENT[position:]


async def test_many_readers_of_many_blobs_on_a_slow_disk_hold_a_chunk_a_blob(
    yard: Any, system: SlowSystem
) -> None:
    contents = [pattern(f"slow {number}", 1 << 20) for number in range(6)]
    reading = [
        asyncio.create_task(yard.read(yard.add(content), size=len(content)))
        for content in contents
        for _ in range(3)
    ]
    await asyncio.to_thread(system.asked.wait, PATIENCE)
    await _settle()
    assert yard.upstream.sent <= len(contents) * CHUNK
    system.let_through(1000)
    for number, reader in enumerate(reading):
        assert await reader == contents[number // 3]
