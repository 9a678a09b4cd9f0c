"""A fill's surroundings, real but for the upstream and the clock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from entrepot.engine.fetch import Source
from entrepot.engine.fill import Fill
from entrepot.engine.fills import Fills
from entrepot.engine.pieces import Piece
from entrepot.engine.tasks import Tasks
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.scripted_upstream import ScriptedUpstream
from entrepot.testing.virtual_clock import VirtualClock

MIB = 1 << 20


@dataclass
class Yard:
    """Fills over a real store in a temporary folder, fed by a scripted upstream."""

    store: FilesystemBlobs
    upstream: ScriptedUpstream = field(default_factory=ScriptedUpstream)
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(autojump=True))
    crashes: list[BaseException] = field(default_factory=list)
    stored: list[tuple[Digest, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tasks = Tasks(lambda _name, failure: self.crashes.append(failure))
        self.fills = Fills(self.store, self.clock, self.tasks, self._note, Metrics())

    def add(self, content: bytes, repository: str = "library/demo") -> Source:
        digest = Digest.of(content)
        self.upstream.blobs[repository, digest] = content
        return Source(self.upstream, Repository("docker.io", repository), digest)

    @asynccontextmanager
    async def reading(self, source: Source, size: int | None) -> AsyncIterator[Fill]:
        fill = await self.fills.join(source, size)
        try:
            yield fill
        finally:
            self.fills.leave(fill)

    async def read(
        self, source: Source, start: int = 0, stop: int | None = None, size: int | None = None
    ) -> bytes:
        """Read as an HTTP answer does."""
        async with self.reading(source, size) as fill:
            await fill.ready(start, stop)
            return b"".join([take(piece) async for piece in fill.pieces(start, stop)])

    async def settle(self) -> None:
        """Wait until no fill runs any more."""
        for _ in range(1000):
            if not len(self.fills):
                return
            await asyncio.sleep(0.005)
        raise AssertionError("a fill did not come to its end")

    async def restart(self) -> None:
        """Begin anew on the same store, as after the death of the process."""
        await self.close()
        self.__post_init__()

    async def close(self) -> None:
        await self.tasks.close()
        await self.fills.close()

    def held(self, digest: Digest) -> bytes | None:
        blob = self.store.open(digest)
        if blob is None:
            return None
        content = os.pread(blob.fileno(), blob.size, 0)
        blob.close()
        return content

    async def _note(self, digest: Digest, size: int) -> None:
        self.stored.append((digest, size))


def take(piece: Piece) -> bytes:
    return piece if isinstance(piece, bytes) else os.pread(piece.file, piece.stop - piece.start, piece.start)


async def first_piece(fill: Fill, start: int, stop: int | None) -> bytes:
    async for piece in fill.pieces(start, stop):
        return take(piece)
    return b""


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    yard = Yard(FilesystemBlobs(tmp_path))
    yield yard
    await yard.close()
    yard.store.close()
    assert yard.crashes == []
