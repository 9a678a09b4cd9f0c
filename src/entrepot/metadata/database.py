"""One SQLite file: a connection to read in the event loop's thread, another in a thread that writes."""

from __future__ import annotations

import asyncio
import itertools
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import URL, Connection, Engine, Executable, Select, create_engine, event
from sqlalchemy.pool import NullPool, PoolProxiedConnection

from entrepot.errors import MetadataFailed
from entrepot.metadata.failures import FOREIGN_FAILURES, MetadataDamaged, translate, translated
from entrepot.metadata.locks import Locks
from entrepot.metadata.revision import bring_up_to_date
from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.telemetry.log import log

__all__ = ["Change", "Database"]

T = TypeVar("T")
Change = Callable[[Connection], T]

_MOST_QUEUED = 1000
_LONGEST_WAIT = 30.0
_MOMENT = 2.0
_BUSY_SECONDS = 5.0
_FIRST_PRAGMA = "PRAGMA auto_vacuum = INCREMENTAL"
"""For a file that is new: it will be able to give back room that it no longer needs."""

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    # In WAL mode a commit then outlives the process without an fsync; a power cut may
    # take the last commits, and never leaves a torn one.
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA cache_size = -4096",  # KiB, for each of the two connections
    "PRAGMA wal_autocheckpoint = 256",  # Pages: the log stays near 1 MiB, which the budget reckons with.
    "PRAGMA journal_size_limit = 1048576",
)


class Database:
    """Look-ups are synchronous; changes are executed in order, each a transaction.

    When ``change`` returns, look-ups see what it wrote.  Every method raises
    ``MetadataFailed``.
    """

    def __init__(self, path: Path, engine: Engine, *, is_visit: bool = False) -> None:
        self._path = path
        self._engine = engine
        self._is_visit = is_visit
        self._look_up: Callable[[str, dict[str, str | float]], Any] = _refuse
        self._connect()
        self._dialect = engine.dialect
        self._checking: Any = None
        self._texts: dict[Select[*tuple[Any, ...]], str] = {}
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="metadata")
        self._surveyor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="survey")
        self._room = asyncio.Semaphore(_MOST_QUEUED)
        self._is_stuck = False
        self._locks = Locks(path)
        self._damaged = False
        self._is_closed = False

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create; a file that cannot be opened is moved aside: what it knew will be asked for again.

        Damage further in is left to be found, by ``check`` or by whoever meets it.
        """
        try:
            with translated(path):
                return cls(path, _engine(path))
        except MetadataDamaged:
            _set_aside(path)
        with translated(path):
            return cls(path, _engine(path))

    @classmethod
    def visit(cls, path: Path) -> Self:
        """Open what is not ours to change in form: nothing is created, migrated, moved aside or renewed.

        Another process may have it open, or it may lie in a folder that can only be read.
        """
        with translated(path):
            return cls(path, _engine(path, _address(path)), is_visit=True)

    def find(self, statement: Select[*tuple[Any, ...]], **parameters: str | float) -> list[tuple[Any, ...]]:
        """Execute a SELECT whose every value is a named parameter.

        Core compiles the statement once and the driver executes it: 18 us for a point
        look-up, where Core's own execution takes 68 and its textual one 57.
        """
        try:
            rows: list[tuple[Any, ...]] = self._look_up(self._text(statement), parameters).fetchall()
        except FOREIGN_FAILURES as failure:
            raise self._noted(failure) from failure
        return rows

    def digest(self, text: str) -> Digest:
        """Read a digest that was found in a row."""
        try:
            return Digest.parse(text)
        except (InvalidDigest, TypeError) as failure:
            self._damaged = True
            raise MetadataDamaged(f"{self._path} is damaged: {text!r} is no digest") from failure

    async def survey(
        self, statement: Select[*tuple[Any, ...]], **parameters: str | int
    ) -> list[tuple[Any, ...]]:
        """Execute as ``find`` does a SELECT that may walk over much: beside the event loop."""
        job = partial(self._survey, self._text(statement), parameters)
        try:
            async with asyncio.timeout(_LONGEST_WAIT):
                return await self._hand_to(self._surveyor, job)
        except TimeoutError:
            raise MetadataFailed(f"{self._path}: not read within {_LONGEST_WAIT:.0f} s") from None

    async def change(self, change: Change[T], within: float | None = None) -> T:
        """Have the writer execute ``change``; a caller that is cancelled leaves it queued, to be done.

        So does one that has waited for ``within`` seconds, thirty if not given, and is told of a failure.
        Where that is because another process locks the file, it is not done: nobody waits for it any more.
        """
        patience = _LONGEST_WAIT if within is None else within
        seconds = min(patience, _MOMENT) if self._locks.is_held else patience
        return await self._submit(partial(self._execute, change), seconds)

    async def note(self, change: Change[None], within: float | None = None) -> None:
        """Have the writer execute what is not to be lost: while the file is locked, it is kept for later.

        ``within`` is how many seconds to wait, by default a moment, as there is an answer to give.
        While the writer is stuck, as it is where another process locks the file, nobody waits for it again.
        """
        seconds = _MOMENT if within is None else within
        job = partial(self._execute, change, is_lasting=True)
        await self._submit(job, 0.0 if self._is_stuck else seconds, is_lasting=True)

    async def execute(self, statement: Executable, row: dict[str, Any]) -> None:
        """Have the writer execute one statement."""

        def change(connection: Connection) -> None:
            connection.execute(statement, row)

        await self.change(change)

    async def check(self) -> None:
        """Read all of the file in search of damage: a second or so for a million blobs, in another thread."""
        try:
            await asyncio.to_thread(self._check)
        except FOREIGN_FAILURES as failure:
            raise self._noted(failure) from failure

    async def renew(self) -> bool:
        """Begin a new file in the place of one in which damage was met, or that somebody removed.

        Tell whether that was so.  Until it is done, look-ups and changes fail.
        """
        self._damaged = self._damaged or _is_gone(self._path)  # Until a whole new one is there.
        if self._is_visit or not self._damaged:
            return False
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise MetadataFailed(f"{self._path} is gone: {failure}") from failure
        self._look_up = _refuse
        self._reading.close()
        await self._submit(self._begin_anew)
        return True

    async def checkpoint(self) -> None:
        """Have all changes in the file itself, which may become shorter by that, and none in its log."""
        await self._submit(self._checkpoint)

    async def close(self) -> None:
        """Finish the queued changes, unless the file is locked, and leave one file, with no log beside it."""
        self._refuse_if_closed()
        self._locks.end()
        if (checking := self._checking) is not None:
            checking.interrupt()
        try:
            async with asyncio.timeout(_LONGEST_WAIT):
                await self._room.acquire()  # Behind whatever waits for it already.
                await asyncio.shield(self._end())
        except TimeoutError:
            raise MetadataFailed(f"{self._path}: not closed within {_LONGEST_WAIT:.0f} s") from None
        finally:
            self._locks.tell_lost()

    def _end(self) -> asyncio.Future[None]:
        """Take nothing more; finish behind what is queued."""
        finishing = self._enqueue(self._finish)
        self._is_closed = True
        self._surveyor.shutdown(wait=False, cancel_futures=True)
        self._writer.shutdown(wait=False)
        return finishing

    def _connect(self) -> None:
        self._writing = self._engine.connect()
        try:
            bring_up_to_date(self._writing, self._path, is_visit=self._is_visit)
            self._writing.commit()
            self._reading = self._engine.raw_connection()
        except BaseException:
            self._writing.close()
            raise
        driver: Any = self._reading.driver_connection
        self._look_up = driver.execute

    def _connect_again(self) -> PoolProxiedConnection:
        """Connect to look at it; that must not make an empty file in the place of one that is gone."""
        if _is_gone(self._path):
            self._damaged = True
            raise MetadataFailed(f"{self._path} is gone: a new one is begun within seconds")
        return self._engine.raw_connection()

    def _check(self) -> None:
        connection = self._connect_again()
        driver: Any = connection.driver_connection
        self._checking = driver
        try:
            (found,) = driver.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            self._checking = None
            connection.close()
        if found != "ok":
            self._damaged = True
            raise MetadataDamaged(f"{self._path} is damaged: {found}")

    def _begin_anew(self) -> None:
        with translated(self._path):
            self._writing.close()
            _set_aside(self._path)
            self._connect()
        self._damaged = False

    def _text(self, statement: Select[*tuple[Any, ...]]) -> str:
        text = self._texts.get(statement)
        if text is None:
            text = self._texts[statement] = str(statement.compile(dialect=self._dialect))
        return text

    async def _submit(
        self, job: Callable[[], T], seconds: float = _LONGEST_WAIT, *, is_lasting: bool = False
    ) -> T:
        done: asyncio.Future[T] | None = None
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
                done = self._enqueue(job)
                return await asyncio.shield(done)
        except TimeoutError:
            self._is_stuck = True
            is_kept = done is not None and (is_lasting or not (self._locks.is_held and done.cancel()))
            outlook = "it is to be written later" if is_kept else "it is not kept to be written later"
            cause = "another process locks it" if self._locks.is_held else "it is busy or locked"
            failure = f"{self._path}: not written within {seconds:.0f} s, as {cause}; {outlook}"
            raise MetadataFailed(failure) from None

    def _enqueue(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """Queue a job that has got room; the database may have been closed while it waited for that."""
        try:
            done = self._hand_to(self._writer, job)
        except MetadataFailed:
            self._room.release()
            raise
        done.add_done_callback(self._done)
        return done

    def _hand_to(self, pool: ThreadPoolExecutor, job: Callable[[], T]) -> asyncio.Future[T]:
        self._refuse_if_closed()
        try:
            return asyncio.get_running_loop().run_in_executor(pool, job)
        except RuntimeError as failure:  # As where the system has no thread to give.
            raise MetadataFailed(f"{self._path}: {failure}") from failure

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise MetadataFailed(f"{self._path} is closed")

    def _done(self, job: asyncio.Future[Any]) -> None:
        self._room.release()
        if not job.cancelled() and job.exception() is None:
            self._is_stuck = False

    def _execute(self, change: Change[T], *, is_lasting: bool = False) -> T:
        try:
            with self._locks.begin(self._writing, is_patient=is_lasting):
                return change(self._writing)
        except FOREIGN_FAILURES as failure:
            raise self._noted(failure) from failure

    def _checkpoint(self) -> None:
        driver: Any = self._writing.connection.driver_connection  # For Core would begin a transaction.
        with translated(self._path):
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _survey(self, text: str, parameters: Mapping[str, str | int]) -> list[tuple[Any, ...]]:
        """Work on a connection of its own: surveys are made for people, who are few and patient."""
        try:
            with closing(self._connect_again()) as connection:
                driver: Any = connection.driver_connection
                rows: list[tuple[Any, ...]] = driver.execute(text, parameters).fetchall()
        except FOREIGN_FAILURES as failure:
            raise self._noted(failure) from failure
        return rows

    def _finish(self) -> None:
        with translated(self._path):
            self._reading.close()
            self._writing.close()
        if self._damaged and not self._is_visit:
            _set_aside(self._path)

    def _noted(self, failure: Exception) -> MetadataFailed:
        translation = translate(failure, self._path)
        self._damaged = self._damaged or isinstance(translation, MetadataDamaged)
        return translation


def _refuse(_text: str, _parameters: dict[str, str | float]) -> Any:
    raise sqlite3.OperationalError("a new database is being made")


def _address(path: Path) -> URL:
    """Name the file so that it can be opened where no log can be made beside it, if there is none."""
    if os.access(path.parent, os.W_OK):
        return URL.create("sqlite", database=str(path))
    how = {"mode": "ro"} if path.with_name(f"{path.name}-wal").exists() else {"immutable": "1"}
    return URL.create("sqlite", database=path.absolute().as_uri(), query={**how, "uri": "true"})


def _engine(path: Path, address: URL | None = None) -> Engine:
    engine = create_engine(
        address or URL.create("sqlite", database=str(path)),
        paramstyle="named",
        poolclass=NullPool,
        # Transactions begin where Core says, see _begin, and not where the driver guesses.
        connect_args={"check_same_thread": False, "isolation_level": None, "timeout": _BUSY_SECONDS},
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: Any, _record: object) -> None:
    is_new = connection.execute("PRAGMA page_count").fetchone() == (0,)
    for pragma in (_FIRST_PRAGMA, *_PRAGMAS) if is_new else _PRAGMAS:
        connection.execute(pragma)


def _begin(connection: Connection) -> None:
    # IMMEDIATE, because a transaction that reads first and writes later may be refused the lock.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _is_gone(path: Path) -> bool:
    """Tell whether a file is surely not there: what is in trouble may come back."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def _set_aside(path: Path) -> None:
    """Move the file, its log and their shared memory away, as they may be of use to someone."""
    names = (path.with_name(f"{path.name}.corrupt-{number}") for number in itertools.count(1))
    aside = next(name for name in names if not name.exists())
    try:
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                os.replace(part, aside.with_name(aside.name + suffix))
    except OSError as failure:
        raise MetadataFailed(f"{path} is damaged; move it away to begin a new one: {failure}") from failure
    if aside.exists():
        log.warning("metadata_damaged", path=str(path), moved_to=str(aside))
    else:
        log.warning("metadata_gone", path=str(path), action="a new one is begun")
