"""Disks that fill up, and callers that leave at every moment there is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.engine.conftest import MIB, Yard, take

from entrepot.errors import DiskFull, StoreFailed, WrongContent
from entrepot.oci.digest import Digest
from entrepot.ports.blobs import Spool
from entrepot.ports.upstream import Inflow
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.testing.waiting import PATIENCE

CONTENT = random.Random(9).randbytes(2 * MIB + 77)

T = TypeVar("T")


class TightSpool:
    """A real spool on a disk that takes ``left`` bytes more."""

    def __init__(self, spool: Spool, left: int) -> None:
        self._spool = spool
        self._left = left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spool, name)

    async def write(self, offset: int, chunk: bytes) -> None:
        if len(chunk) > self._left:
            raise DiskFull("no room")
        self._left -= len(chunk)
        await self._spool.write(offset, chunk)

    async def receive(self, offset: int, inflow: Inflow, most: int) -> int:
        if self._left == 0:
            raise DiskFull("no room")
        count = await self._spool.receive(offset, inflow, min(most, self._left))
        self._left -= count
        return count


class TightStore(FilesystemBlobs):
    """``left``: how many bytes a spool takes; ``None`` where not even a spool can be made."""

    def __init__(self, root: Path, left: int | None) -> None:
        super().__init__(root)
        self.left = left

    async def spool(self, digest: Digest) -> Any:
        if self.left is None:
            raise StoreFailed("read-only")
        return TightSpool(await super().spool(digest), self.left)


@pytest.fixture(params=[False, True], ids=["handed over", "taken where they come"])
def diverts(request: pytest.FixtureRequest) -> bool:
    """Tell which way the bytes of downloads go."""
    return bool(request.param)


@pytest.fixture(params=[None, 0, 1, MIB, 2 * MIB])
async def tight(tmp_path: Path, request: pytest.FixtureRequest, *, diverts: bool) -> AsyncIterator[Yard]:
    yard = Yard(TightStore(tmp_path, request.param))
    yard.upstream.diverts = diverts
    yield yard
    await yard.close()
    yard.store.close()
    assert yard.crashes == []
    assert [path for path in (tmp_path / "spool").iterdir() if path.suffix == ".part"] == []


async def test_a_full_disk_is_nothing_that_clients_notice(tight: Yard) -> None:
    source = tight.add(CONTENT)
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(tight.read(source)) for _ in range(3)]
    assert all(reader.result() == CONTENT for reader in readers)
    assert tight.held(source.digest) is None


async def test_fifty_readers_share_one_download_that_no_disk_has_room_for(tight: Yard) -> None:
    source = tight.add(CONTENT)
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(tight.read(source)) for _ in range(50)]
    assert all(reader.result() == CONTENT for reader in readers)
    assert tight.upstream.sent < 1.2 * len(CONTENT)


async def test_a_full_disk_is_no_licence_for_wrong_bytes(tight: Yard) -> None:
    source = tight.add(CONTENT)
    tight.upstream.blobs[source.repository.name, source.digest] = CONTENT[:-1] + b"!"
    with pytest.raises(WrongContent):
        await tight.read(source)


async def test_a_full_disk_survives_broken_connections(tight: Yard) -> None:
    source = tight.add(CONTENT)
    tight.upstream.cuts = [MIB, MIB]
    assert await tight.read(source) == CONTENT


async def test_a_blob_larger_than_the_room_is_not_even_begun(yard: Yard) -> None:
    source = yard.add(CONTENT)
    yard.disk.free = len(CONTENT) - 1
    assert await yard.read(source) == CONTENT
    assert yard.held(source.digest) is None


class Threads(ThreadPoolExecutor):
    """Tells what its threads are at."""

    def __init__(self) -> None:
        super().__init__(8)
        self.jobs: set[Future[Any]] = set()

    def submit(self, work: Callable[..., T], /, *arguments: Any, **options: Any) -> Future[T]:
        job = super().submit(work, *arguments, **options)
        self.jobs.add(job)
        job.add_done_callback(self.jobs.discard)
        return job


async def _leave_after(yard: Yard, steps: int) -> bool:
    """Read, but be cancelled at the given step of the event loop; tell whether it came to that.

    To wait for a thread is one step, however slow the disk is and often the loop turns meanwhile.
    """
    yard.store._threads = threads = Threads()
    source = yard.add(CONTENT)
    reader = asyncio.ensure_future(yard.read(source))
    for _ in range(steps):
        if reader.done():
            break
        waited_for = list(map(asyncio.wrap_future, threads.jobs.copy()))
        await asyncio.sleep(0)
        if waited_for:
            await asyncio.wait(waited_for, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    was_cancelled = reader.cancel()
    await asyncio.wait([reader])
    return was_cancelled


async def test_a_reader_may_leave_at_every_moment(tmp_path: Path, *, diverts: bool) -> None:
    """Whenever it leaves, the next one gets the whole, and nothing is left behind."""
    steps = 0
    while True:
        yard = Yard(FilesystemBlobs(tmp_path / str(steps)))
        yard.upstream.diverts = diverts
        yard.upstream.chunk = 512 << 10
        was_cancelled = await _leave_after(yard, steps)
        source = yard.add(CONTENT)
        assert await yard.read(source) == CONTENT
        await yard.settle()
        await yard.close()
        assert yard.held(source.digest) == CONTENT
        assert yard.crashes == []
        yard.store.close()
        if not was_cancelled:
            break
        steps += 1
    assert steps > 5


async def test_the_process_may_end_at_every_moment(tmp_path: Path, *, diverts: bool) -> None:
    """Whenever all tasks are ended, what was written is there for the next process."""
    for steps in range(0, 60, 2):
        yard = Yard(FilesystemBlobs(tmp_path / str(steps)))
        yard.upstream.diverts = diverts
        yard.upstream.chunk = 256 << 10
        source = yard.add(CONTENT)
        reader = asyncio.ensure_future(yard.read(source))
        for _ in range(steps):
            await asyncio.sleep(0)
        reader.cancel()
        await asyncio.wait([reader])
        await yard.restart()
        assert await yard.read(source, size=len(CONTENT)) == CONTENT
        await yard.close()
        assert yard.crashes == []
        yard.store.close()


async def test_a_slow_reader_holds_up_nobody(yard: Yard) -> None:
    source = yard.add(CONTENT)
    async with yard.reading(source, None) as slow:
        await slow.ready(0, None)
        pieces = slow.pieces(0, None)
        first = take(await anext(pieces))
        assert await yard.read(source) == CONTENT
        rest = b"".join([take(piece) async for piece in pieces])
    assert first + rest == CONTENT
