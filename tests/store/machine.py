"""A computer that runs the whole store: its process may die and its power be cut at every change of its disk."""

from __future__ import annotations

import asyncio
import copy
import os
import shutil
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from sqlalchemy import Connection

from entrepot.engine.blobs import Blobs, HeldBlob
from entrepot.engine.budget import Budget
from entrepot.engine.eviction import Eviction
from entrepot.engine.fills import Fills
from entrepot.engine.ledger import Ledger
from entrepot.engine.pieces import Piece
from entrepot.engine.reconcile import Reconciliation
from entrepot.engine.scrub import Scrub, Verdict
from entrepot.engine.sites import Site, Sites
from entrepot.engine.tasks import Tasks
from entrepot.engine.uses import Uses
from entrepot.errors import MetadataFailed
from entrepot.metadata.database import Database
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.policy.access import PullRules
from entrepot.policy.budget import Bounds
from entrepot.policy.freshness import Freshness, TagRules
from entrepot.policy.routing import UpstreamTable
from entrepot.storage.ballast import Ballast
from entrepot.storage.disk import FilesystemDisk
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.platter import Platter
from entrepot.testing.scripted_system import Halted, ScriptedSystem
from entrepot.testing.scripted_upstream import ScriptedUpstream
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE

__all__ = ["Frame", "Life", "Machine"]

T = TypeVar("T")
N = TypeVar("N")
Files = dict[str, bytes | None]
"""The content of files by their paths; ``None`` for a folder."""

_POLL = 0.0002
_DATABASE = "entrepot.db"
_METRICS = Metrics()
"""Of all lives together, as nobody looks at them."""


class HaltingDatabase(Database):
    """Its transactions are counted among the changes of the disk, and synced as little as these."""

    system: ScriptedSystem

    def never_sync(self) -> None:
        driver: Any = self._writing.connection.driver_connection
        driver.execute("PRAGMA synchronous = OFF")

    async def change(self, change: Callable[[Connection], T], within: float | None = None) -> T:
        try:
            self.system.step("transaction")
        except OSError as failure:
            raise MetadataFailed("the disk fails") from failure
        return await super().change(change, within)


class Life:
    """One process: made of the parts that the composition root puts together, over the machine's disk."""

    def __init__(self, machine: Machine, system: ScriptedSystem) -> None:
        self.clock = machine.clock
        self.system = system
        self.tasks = Tasks(lambda _name, failure: machine.crashes.append(failure))
        self.store = FilesystemBlobs(machine.folder, system=system, boot=f"boot {machine.boots}")
        Ballast(machine.folder, system).take()
        database = HaltingDatabase.open(machine.folder / _DATABASE)
        database.system = system
        database.never_sync()
        self.metadata = SqlMetadata(database)
        site = Site(machine.upstream, TagRules(Freshness()), PullRules())
        sites = Sites(UpstreamTable.build(["docker.io"], {}, "docker.io"), {"docker.io": site})
        self.uses = Uses(self.metadata, self.clock)
        self.ledger = Ledger(FilesystemDisk(machine.folder, system=system), self.metadata, self.clock)
        self.eviction = Eviction(self.store, self.metadata, self.ledger, self.uses, _METRICS)
        self.bounds = machine.bounds_on
        self.budget = Budget(self.ledger, self.eviction, self.tasks, self.clock, self.bounds)
        self.fills = Fills(
            self.store, self.budget, self.clock, self.tasks, self._note_stored, metrics=_METRICS
        )
        self.blobs = Blobs(sites, self.store, self.metadata, self.fills, self.uses)

    async def read(self, repository: str, digest: Digest, start: int = 0, stop: int | None = None) -> bytes:
        """Read as an HTTP answer does."""
        blob = await self.blobs.open(Repository("docker.io", repository), digest, start, stop)
        try:
            if isinstance(blob, HeldBlob):
                return _take(blob.span(start, stop))
            return b"".join([_take(piece) async for piece in blob.pieces(start, stop)])
        finally:
            blob.close()
            await self.settle()

    async def drop(self, digest: Digest) -> None:
        await self.eviction.remove([digest], "asked")
        self._raise_if_halted()

    async def scrub(self) -> None:
        """Read all content again, and drop what is wrong."""
        findings = [finding async for finding in Scrub(self.store, self.metadata).blobs()]
        self._raise_if_halted()
        assert all(finding.verdict in (Verdict.RIGHT, Verdict.DROPPED) for finding in findings)

    async def beside(self) -> int:
        """Tell how many bytes are held that are no content."""
        await self.ledger.survey()
        return self.ledger.usage(free=0).held - self.ledger.evictable

    async def trim(self) -> None:
        """Do what a reload of the settings does."""
        self.budget.trim()
        await self.settle()

    async def tidy(self) -> None:
        """Do what runs in the background, once."""
        await self.uses.flush()
        await Reconciliation(self.store, self.metadata, self.metadata, self.ledger, self.clock).run()
        await self.budget.tidy()

    async def settle(self) -> None:
        """Wait until no fill runs any more, and all are closed; ``Halted`` where none ever will be."""
        for _ in range(int(PATIENCE / _POLL)):
            is_busy = len(self.fills) or self.fills._over or list(self.fills._closings.in_air())
            self._raise_if_halted()
            if not is_busy:
                return
            await asyncio.sleep(_POLL)
        raise AssertionError("a fill did not come to its end")

    async def held(self) -> dict[Digest, int]:
        return dict([blob async for blob in self.store.blobs()])

    async def close(self) -> None:
        await self.tasks.close()
        await self.blobs.close()
        await self.fills.close()
        await self.ledger.finish()
        await self.uses.flush()
        await self.metadata.close()
        self.store.close()

    async def abandon(self) -> None:
        """Free what the process held, after its death: nothing of this reaches the machine's disk."""
        await self.tasks.close()
        for fill in [*self.fills._fills.values(), *self.fills._over]:
            with suppress(Halted):
                await fill.close()
        await self.metadata.close()
        self.store.close()

    def _raise_if_halted(self) -> None:
        if self.system.is_halted:
            raise Halted

    async def _note_stored(self, digest: Digest, size: int) -> None:
        await self.metadata.record_stored(digest, size, self.clock.now())


@dataclass(frozen=True, slots=True)
class Frame:
    """A machine at an instant, as what comes next would find it if its process or its power ended there."""

    folder: Files
    database: Files
    platter: Platter
    upstream: Mapping[tuple[str, Digest], bytes]
    now: float
    max_size: int | None


class Machine:
    """``template`` is a data folder to begin with, as making the database anew takes long.

    One that begins with a ``frame`` has no process yet, until it is revived or powered up.
    """

    def __init__(self, base: Path, template: Path, frame: Frame | None = None) -> None:
        self._base = base
        self._folders = 0
        self.folder = base / "0"
        self.boots = 0
        self.clock = VirtualClock(autojump=True)
        self.upstream = ScriptedUpstream(chunk=8 << 10)
        self.crashes: list[BaseException] = []
        self._life: Life | None = None
        self._runner = asyncio.Runner()
        self.max_size: int | None = None
        """How many bytes may be held."""
        self.next_life_ends_at: int | None = None
        """At which change of the disk the next process is to die."""
        self._left: tuple[Files, Files] = {}, {}
        """What the last process has left: of the store, and of the database."""
        if frame is None:
            shutil.copytree(template, self.folder)
            self._platter = Platter(self.folder)
            self.start()
        else:
            self.folder.mkdir(parents=True)
            self._begin_with(frame)

    def film(
        self, work: Callable[[Life], Coroutine[Any, Any, T]], note: Callable[[], N]
    ) -> list[tuple[Frame, N]]:
        """Run ``work`` to its end; return the frames before every change of the disk, each with a note."""
        frames: list[tuple[Frame, N]] = []

        def look() -> None:
            known = frames[-1][0] if frames else None
            frames.append((self._frame(known), note()))

        self.system.watch(look)
        self.run(work)
        self.system.behave()
        return frames

    # A process lives and dies.

    def start(self) -> None:
        """Start a process; ``Halted`` where it dies at once."""
        self.system = ScriptedSystem(self._platter)
        self._life = None
        self._runner = asyncio.Runner()
        self._halted = asyncio.Event()
        if self.next_life_ends_at is not None:
            self.halt(self.next_life_ends_at)
            self.next_life_ends_at = None
        self._life = self._runner.run(self._begin())

    @property
    def life(self) -> Life:
        assert self._life is not None
        return self._life

    def run(self, work: Callable[[Life], Coroutine[Any, Any, T]]) -> T:
        """Run in the process that lives now; ``Halted`` where it dies meanwhile."""
        return self._runner.run(self._until_halted(work(self.life)))

    def restart(self) -> None:
        """End the process as SIGTERM does, and start again."""
        self.run(Life.close)
        self._runner.close()
        self.start()

    def close(self) -> None:
        """Have no process any more, whatever it was doing."""
        if self._life is not None:
            self._runner.run(self._life.abandon())
        self._life = None
        self._runner.close()

    def halt(self, at: int) -> None:
        """Have the process die, or the power fail, in place of the change to come in so many."""
        loop = self._runner.get_loop()

        def then() -> None:
            self._left = self._look()
            loop.call_soon_threadsafe(self._halted.set)

        self.system.halt(at=at, then=then)

    def revive(self) -> None:
        """Start again after the death of the process: the kernel has kept what was written."""
        self._move_on()
        _write(self._left[0], self.folder)
        self._restore_database(None)
        self._platter.root = self.folder
        self.start()

    def power_up(self, chance: Random, survival: float) -> None:
        """Start again after a power cut that each change of the disk has outlived with a probability."""
        self._move_on()
        self._platter.cut_power(self.folder, chance, survival)
        self._restore_database(chance.random() if 0 < survival < 1 else survival)
        self._platter = Platter(self.folder)
        self.boots += 1
        self.start()

    def _move_on(self) -> None:
        """Leave the process and its folder behind."""
        self.close()
        shutil.rmtree(self.folder)
        self._folders += 1
        self.folder = self._base / str(self._folders)

    async def _begin(self) -> Life:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        life = Life(self, self.system)
        await life.ledger.survey()
        return life

    def bounds_on(self, _total: int) -> Bounds:
        return Bounds(self.max_size, min_free=0, high=0.95, low=0.9)

    async def _until_halted(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(work)
        halted = asyncio.ensure_future(self._halted.wait())
        await asyncio.wait([task, halted], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        halted.cancel()
        if not task.done() or self.system.is_halted:
            task.cancel()
            await asyncio.wait([task])
            if self.system.is_halted:
                raise Halted
            raise TimeoutError(f"{work} did not end")
        return task.result()

    # What is left of it

    def _look(self) -> tuple[Files, Files]:
        """Copy all files at an instant: the process goes on for a while, and does not know.

        The log of the database is never cut off between two changes of itself, for so few changes it is
        never begun anew.
        """
        files = _read(self.folder)
        database = {name: files.pop(name) for name in list(files) if name.startswith(_DATABASE)}
        return files, {name: content for name, content in database.items() if not name.endswith("-shm")}

    def _restore_database(self, survival: float | None) -> None:
        """Put the copy in place; of its log, nothing of which was synced, a share outlives a power cut."""
        _write(self._left[1], self.folder)
        log = self.folder / f"{_DATABASE}-wal"
        if survival is not None and log.exists():
            os.truncate(log, int(log.stat().st_size * survival))

    def _frame(self, last: Frame | None) -> Frame:
        folder, database = self._look()
        if last is not None:
            folder, database = _shared(folder, last.folder), _shared(database, last.database)
        blobs = dict(self.upstream.blobs)
        return Frame(
            folder, database, copy.deepcopy(self._platter), blobs, self.clock.monotonic(), self.max_size
        )

    def _begin_with(self, frame: Frame) -> None:
        self._left = frame.folder, frame.database
        self._platter = copy.deepcopy(frame.platter)
        self.upstream.blobs.update(frame.upstream)
        self.clock.advance(frame.now)
        self.max_size = frame.max_size


def _take(piece: Piece) -> bytes:
    return piece if isinstance(piece, bytes) else os.pread(piece.file, piece.stop - piece.start, piece.start)


def _read(folder: Path) -> Files:
    paths = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in paths}


def _write(files: Files, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)


def _shared(files: Files, known: Files) -> Files:
    """Keep what has not changed only once."""
    pairs = ((name, content, known.get(name)) for name, content in files.items())
    return {name: before if before == content else content for name, content, before in pairs}
