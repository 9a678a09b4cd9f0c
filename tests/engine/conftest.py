"""The surroundings of fills and of manifests, real but for the upstream and the clock."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from entrepot.engine.budget import Budget
from entrepot.engine.eviction import Eviction
from entrepot.engine.fetch import Source
from entrepot.engine.fill import Fill
from entrepot.engine.fills import Fills
from entrepot.engine.ledger import Ledger
from entrepot.engine.manifests import Manifests
from entrepot.engine.pieces import Piece
from entrepot.engine.revalidation import Cache
from entrepot.engine.sites import Site, Sites
from entrepot.engine.tasks import Tasks
from entrepot.engine.uses import Uses
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository, Tag
from entrepot.policy.access import PullRules
from entrepot.policy.budget import Bounds
from entrepot.policy.freshness import Freshness, TagRules
from entrepot.policy.routing import UpstreamTable
from entrepot.ports.disk import Space
from entrepot.ports.eviction import Candidate, Stored
from entrepot.ports.metadata import Use
from entrepot.storage.disk import FilesystemDisk
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.scripted_upstream import ScriptedUpstream
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE, until

MIB = 1 << 20


_DEMO = Repository("docker.io", "library/demo")
LATEST = Tag("latest")
OLD, NEW = b'{"schemaVersion":2}', b'{"schemaVersion":2,"layers":[]}'
LIMITS = Freshness(fresh_for=30, revalidate_within=PATIENCE, stale_if_error=3600, not_found_for=10)
UNBOUNDED = Bounds(max_size=None, min_free=0, high=1.0, low=1.0)


class RoomyDisk(FilesystemDisk):
    """A real folder on a disk of which ``free`` bytes are free, whatever is written there."""

    free = 1 << 40

    def space(self) -> Space:
        return Space(1 << 40, self.free)


class Oblivion:
    """Metadata that knows of nothing that is stored."""

    def stored(self) -> Stored:
        return Stored(0, 0)

    def charges(self) -> dict[str, int]:
        return {}

    def lowest(self, after: Candidate | None, limit: int, upstream: str | None = None) -> list[Candidate]:
        return []

    async def record_uses(self, uses: Sequence[Use]) -> None:
        """Let them pass."""


@dataclass
class Yard:
    """Fills over a real store in a temporary folder, fed by a scripted upstream."""

    store: FilesystemBlobs
    index: Any = field(default_factory=Oblivion)
    bounds: Bounds = UNBOUNDED
    upstream: ScriptedUpstream = field(default_factory=ScriptedUpstream)
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(autojump=True))
    crashes: list[BaseException] = field(default_factory=list)
    stored: list[tuple[Digest, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tasks = Tasks(lambda _name, failure: self.crashes.append(failure))
        self.metrics = Metrics()
        self.disk = RoomyDisk(self.store._root)
        self.ledger = Ledger(self.disk, self.index, self.clock)
        self.uses = Uses(self.index, self.clock)
        self.eviction = Eviction(self.store, self.index, self.ledger, self.uses, self.metrics)
        self.budget = Budget(self.ledger, self.eviction, self.tasks, self.clock, lambda _total: self.bounds)
        self.fills = Fills(self.store, self.budget, self.clock, self.tasks, self._note, metrics=self.metrics)

    def add(self, content: bytes, repository: str = "library/demo", upstream: str = "docker.io") -> Source:
        digest = Digest.of(content)
        self.upstream.blobs[repository, digest] = content
        return Source(self.upstream, Repository(upstream, repository), digest)

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
        await self.until(lambda: not len(self.fills) and not self.ledger.claims())

    async def until(self, claim: Callable[[], bool]) -> None:
        await until(claim, "what the test waits for")

    async def restart(self) -> None:
        """Begin anew on the same store, as after the death of the process."""
        await self.close()
        self.__post_init__()

    async def close(self) -> None:
        await self.tasks.close()
        await self.fills.close()
        await self.eviction.close()

    def held(self, digest: Digest) -> bytes | None:
        blob = self.store.open(digest)
        if blob is None:
            return None
        content = os.pread(blob.fileno(), blob.size, 0)
        blob.close()
        return content

    async def _note(self, digest: Digest, size: int) -> None:
        self.stored.append((digest, size))


@dataclass
class Depot(Yard):
    """A yard whose metadata is real as well: content is recorded, used and evicted."""

    async def _note(self, digest: Digest, size: int) -> None:
        await self.index.record_stored(digest, size, self.clock.now())

    async def keep(self, *contents: bytes, upstream: str = "docker.io") -> list[Digest]:
        """Have blobs in the store, each used once, the first one longest ago."""
        digests = []
        for content in contents:
            source = self.add(content, upstream=upstream)
            await self.index.confirm_blob(source.repository, source.digest, len(content))
            await self.read(source)
            await self.settle()
            self.uses.note(source.digest)
            await self.uses.flush()
            self.clock.advance(1)
            digests.append(source.digest)
        return digests

    def kept(self, digests: Sequence[Digest]) -> list[bool]:
        """Tell of each whether it is both stored and recorded; it must not be one without the other."""
        stored = [self.held(digest) is not None for digest in digests]
        assert stored == [self.index.is_stored(digest) for digest in digests]
        return stored

    @property
    def taken(self) -> int:
        return self.ledger.usage(0).held

    @property
    def written(self) -> int:
        return self.taken - self.ledger.usage(0).promised


@dataclass
class Desk:
    """Manifests over real metadata, of a scripted upstream."""

    metadata: SqlMetadata
    upstream: ScriptedUpstream = field(default_factory=ScriptedUpstream)
    clock: VirtualClock = field(default_factory=VirtualClock)
    rules: TagRules = field(default_factory=lambda: TagRules(LIMITS, (), ("v*",)))

    def __post_init__(self) -> None:
        site = Site(self.upstream, self.rules, PullRules(deny=("secret/*",)))
        sites = Sites(UpstreamTable.build(["docker.io"], {}, "docker.io"), {"docker.io": site})
        self.metrics = Metrics()
        uses = Uses(self.metadata, self.clock)
        self.manifests = Manifests(
            sites, self.metadata, uses, self.clock, metrics=self.metrics, memory=1 << 20
        )

    def publish(self, content: bytes, tag: str = "latest", repository: str = "library/demo") -> Digest:
        self.upstream.manifests[repository, tag] = content
        return Digest.of(content)

    async def pull(self, tag: Tag | Digest = LATEST, repository: Repository = _DEMO) -> tuple[bytes, Cache]:
        answer = await self.manifests.pull(repository, tag)
        return answer.value.content, answer.cache

    def restart(self) -> None:
        self.__post_init__()

    def may_write(self, *, allowed: bool) -> None:
        """Have changes of the metadata fail, or succeed again."""
        writing = self.metadata._database._writing
        writing.exec_driver_sql(f"PRAGMA query_only = {'OFF' if allowed else 'ON'}")
        writing.rollback()

    async def lose_metadata(self) -> None:
        """Begin a new database in the place of a damaged one."""
        self.metadata._database._damaged = True
        await self.metadata.renew()

    def limit(self, **limits: Any) -> None:
        """Go on with limits of which some are others."""
        self.rules = TagRules(replace(self.rules.base, **limits))
        self.restart()


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


@pytest.fixture
async def depot(tmp_path: Path) -> AsyncIterator[Depot]:
    metadata = SqlMetadata.open(tmp_path / "entrepot.db")
    depot = Depot(FilesystemBlobs(tmp_path), index=metadata)
    yield depot
    await depot.close()
    await metadata.close()
    depot.store.close()
    assert depot.crashes == []


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    metadata = SqlMetadata.open(tmp_path / "entrepot.db")
    desk = Desk(metadata)
    yield desk
    await desk.manifests.close()
    await metadata.close()
