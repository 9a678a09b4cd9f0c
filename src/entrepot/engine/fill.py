"""The one running download of a blob, read by many while it grows.

Every byte that is missing is fetched by exactly one connection; readers wait for the bytes they need
next, at their own pace, and never for one another.  The blob is hashed as it grows and kept only if it is
what its digest says: until then, whoever reads the whole of it does not get its last bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, aclosing, suppress

from msgspec import Struct

from entrepot.engine.budget import Budget
from entrepot.engine.fetch import Fetch, Receive, Source, download
from entrepot.engine.landing import Landing
from entrepot.engine.ledger import Claim
from entrepot.engine.passthrough import NoSpool, PassThrough
from entrepot.engine.pieces import Piece, Span
from entrepot.engine.plan import plan_fetch, unclaimed
from entrepot.engine.tasks import Tasks
from entrepot.engine.verification import names_prefix, verify
from entrepot.errors import EntrepotError, NotHere, StoreFailed, UpstreamDown, WrongContent
from entrepot.oci.digest import Digest
from entrepot.ports.blobs import BlobStore, Spool
from entrepot.ports.clock import Clock
from entrepot.ports.upstream import BlobOrigin, BlobStream, Inflow
from entrepot.telemetry.log import log

__all__ = ["HELD_BACK", "Fill", "FillParts"]

HELD_BACK = 16 << 10
"""How many bytes readers of the whole do not get before the whole is verified."""


class FillParts(Struct, frozen=True):
    """What every fill works with."""

    store: BlobStore
    budget: Budget
    clock: Clock
    tasks: Tasks
    stored: Callable[[Digest, int], Awaitable[None]]
    """Told the size of every blob that is verified and in the store."""
    settled: Callable[[Fill], None]
    """Told of a fill that may have nothing left to do."""


class Fill:
    """Made, shared and closed by ``Fills``; ``size`` is in bytes, ``None`` while nobody told it."""

    def __init__(
        self, source: Source, spool: Spool, size: int | None, claim: Claim, parts: FillParts
    ) -> None:
        self.digest = source.digest
        self.size = size
        self.sources = [source]
        self.readers = 0
        self.began_at = parts.clock.now()
        self.is_over = False
        """The blob is in the store, or what came was wrong: whoever comes now needs something else."""
        self._spool = spool
        self._claim = claim
        self._parts = parts
        self._landing = Landing(spool, claim, parts.budget)
        self._present = self._landing.present
        self._began = parts.clock.monotonic(), self._present.total()
        self._fetches: list[Fetch] = []
        self._origins: set[BlobOrigin] = set()
        self._changed = asyncio.Event()
        self._failure: EntrepotError | None = None
        self._failures = 0
        self._is_prepared = False
        self.is_confirmed = False
        """The upstream has answered with the blob, and has not failed since."""
        self._is_verified = False
        self._wants_whole = False
        self._honours_range = True
        self._is_storing = not isinstance(spool, NoSpool)
        self._passed = PassThrough(self.sources, spool, self._note_answer, parts.tasks, parts.clock)
        self._verifier = parts.tasks.spawn(self._verify(), f"verify {self.digest}")

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing would be lost by closing it."""
        if self.readers or self._fetches:
            return False
        return self.is_over or not self._is_storing or not self._is_complete

    @property
    def outcome(self) -> str:
        """Return what has become of it, in the words of the metrics."""
        if self._is_verified:
            return "completed"
        if isinstance(self._failure, NotHere):  # Nothing is wrong but what was asked for.
            return "not_found"
        return "failed" if self._failures else "paused"

    @property
    def progress(self) -> int:
        """Return how many bytes are here."""
        return self._present.total()

    @property
    def connections(self) -> int:
        """Return how many downloads bring it."""
        return len(self._fetches)

    @property
    def bytes_per_second(self) -> float:
        """Return how fast it came since it began, without what an earlier process had left."""
        since, already = self._began
        seconds = self._parts.clock.monotonic() - since
        return (self.progress - already) / seconds if seconds > 0 else 0.0

    async def ready(self, start: int, stop: int | None) -> None:
        """Wait until an answer that begins with byte ``start`` can begin; raise why it never will.

        Where bytes are missing, those of an earlier process are no reason to begin: first the upstream
        has to be there for the rest.
        """
        failures = self._failures
        self._wants_whole = self._wants_whole or (start == 0 and stop in (None, self.size))
        while not self._is_ready(start, stop):
            failures = self._check(start, stop, failures)
            self._advance(start, stop)
            await self._changed.wait()

    async def pieces(self, start: int, stop: int | None) -> AsyncGenerator[Piece]:
        """Yield ``[start, stop)``, to the end where ``stop`` is ``None``, as the bytes come.

        A reader that cannot have all raises, so that its answer ends visibly broken.
        """
        failures = self._failures
        position, is_held = start, self._is_held_back(start, stop)
        while (end := self._end(stop)) is None or position < end:
            readable = self._readable(position, end, is_held=is_held)
            if readable > position:
                yield Span(self._spool.fileno(), position, readable)
                position = readable
                continue
            failures = self._check(position, stop, failures)
            if not self._is_storing and not self._is_verified:
                break
            self._advance(position, stop)
            await self._changed.wait()
        else:
            return
        async with aclosing(self._passed.read(position, self._end(stop), is_checked=is_held)) as rest:
            async for chunk in rest:
                yield chunk

    async def kept(self) -> None:
        """Wait until the blob is in the store, if it can be kept there; raise why it does not come."""
        failures, self._wants_whole = self._failures, True
        while not self.is_over and self._is_storing:
            failures = self._check(0, None, failures)
            self._advance(0, None)
            await self._changed.wait()
        self._check(0, None, failures)

    async def close(self) -> None:
        """Stop, keeping what is here for a later fill to resume; nobody may be reading."""
        self._verifier.cancel()
        await asyncio.wait([self._verifier])
        with suppress(StoreFailed), ExitStack() as ending:
            ending.callback(self._parts.budget.release, self._claim)
            if not self._is_storing and not self.is_over:
                await self._discard()
            await self._spool.close()

    # What readers wait for

    @property
    def _is_complete(self) -> bool:
        return self.size is not None and self._present.run_end(0) >= self.size

    def _end(self, stop: int | None) -> int | None:
        return self.size if stop is None else stop

    def _missing(self, position: int, stop: int | None) -> int | None:
        """Return the first byte that a reader at ``position`` has to wait for, if any."""
        run, end = self._present.run_end(position), self._end(stop)
        return run if end is None or run < end else None

    def _is_held_back(self, start: int, stop: int | None) -> bool:
        """Tell whether a reader wants the end, having at hand all before it: the whole, or the rest of it."""
        return stop in (None, self.size) and self._present.run_end(0) >= start

    def _readable(self, position: int, end: int | None, *, is_held: bool) -> int:
        run = self._present.run_end(position)
        if is_held and not self._is_verified:
            run = min(run, (run if end is None else end) - HELD_BACK)
        return run if end is None else min(run, end)

    def _is_ready(self, start: int, stop: int | None) -> bool:
        if self._is_verified or not self._is_storing:
            return True
        readable = self._readable(start, self._end(stop), is_held=self._is_held_back(start, stop))
        return readable > start and (self.is_confirmed or self._missing(start, stop) is None)

    def _check(self, position: int, stop: int | None, failures: int) -> int:
        """Raise a failure that concerns a reader who last saw so many; return how many it now has seen."""
        is_wrong = self.is_over and not self._is_verified
        if self._failure is not None and (is_wrong or self._failures != failures):
            missing = self._missing(position, stop)
            is_coming = missing is not None and any(fetch.covers(missing) for fetch in self._fetches)
            if is_wrong or (missing is not None and not is_coming):
                raise self._failure.with_traceback(None)
        return self._failures

    def _notify(self) -> None:
        self._changed.set()
        self._changed.clear()

    # Fetching

    def _advance(self, position: int, stop: int | None) -> None:
        """See to it that the first missing byte from ``position`` on comes."""
        missing = self._missing(position, stop)
        if missing is None or not self._is_prepared or not self._is_storing:
            return
        if self.size is not None and missing >= self.size:
            raise WrongContent(f"{self.digest} ends before byte {missing}")
        if not self._honours_range:
            if self._fetches:
                return
            missing, stop = self._present.run_end(0), None
        fetch = plan_fetch(self._present, self._fetches, missing, stop, self.size)
        if fetch is not None:
            self._fetches.append(fetch)
            _ = self._parts.tasks.spawn(self._run(fetch), f"fetch {self.digest} from {fetch.cursor}")

    async def _run(self, fetch: Fetch) -> None:
        try:
            await self._bring(fetch)
        except StoreFailed as failure:
            self._pass_on(failure)
        except EntrepotError as failure:
            self._fail(failure, fetch)
        except Exception:
            # The task's outermost frame: whatever it was, readers must not wait for it.
            self._fail(EntrepotError(f"the download of {self.digest} failed unexpectedly"), fetch)
            raise
        finally:
            self._fetches.remove(fetch)
            if not self._fetches:
                self._claim.settle()
            self._notify()
            self._parts.settled(self)

    async def _bring(self, fetch: Fetch) -> None:
        async with aclosing(download(fetch, self.sources, self._opened, self._parts.clock)) as chunks:
            async for chunk in chunks:
                await self._landing.write(fetch.cursor, chunk, self.size)
                self._notify()
        if self.size is None:
            self.size = fetch.stop
        if self._wants_whole and self.size is not None:
            missing = unclaimed(self._present, self._fetches, self.size)
            if missing is not None:
                self._advance(missing, None)

    async def _opened(self, fetch: Fetch, stream: BlobStream) -> Receive:
        if stream.size is not None and self.size not in (None, stream.size):
            # A length that leaves no room for what is here is that of something else.
            if self.is_confirmed or not fetch.doubted or stream.size < self._present.end:
                stream.origin.distrust(self.digest)
                raise WrongContent(f"{self.digest} has {self.size} bytes, the upstream says {stream.size}")
            self.size = stream.size  # Said twice, by two or of the part and the whole: the manifest errs.
        self._note_answer(fetch, stream)
        if stream.start < fetch.cursor:
            self._read_from_start(fetch, stream.start)
        if self.size is not None:
            fetch.stop = self.size if fetch.stop is None else min(fetch.stop, self.size)
        await self._landing.reserve(self.progress + self._coming(), self.size)
        return self._receive

    def _read_from_start(self, fetch: Fetch, start: int) -> None:
        """Let one connection bring all that is missing, where the upstream does not honour Range."""
        self._honours_range = False
        others = [other for other in self._fetches if other is not fetch]
        if others:
            others[0].stop = self.size
            fetch.stop = fetch.cursor
        else:
            fetch.cursor, fetch.stop = start, self.size

    def _coming(self) -> int:
        """Return how many bytes the fetches are to bring that are not here, as far as that is known."""
        stretches = [(fetch.cursor, fetch.stop) for fetch in self._fetches if fetch.stop is not None]
        return sum(
            stop - start for first, last in stretches for start, stop in self._present.gaps(first, last)
        )

    async def _receive(self, offset: int, inflow: Inflow, most: int) -> int:
        count = await self._landing.receive(offset, inflow, most, self.size)
        self._notify()
        return count

    def _pass_on(self, failure: StoreFailed) -> None:
        """Keep nothing from here on: readers get the rest past the store."""
        if self._is_storing:
            log.warning("blob_passed_through", digest=str(self.digest), size=self.size, reason=str(failure))
        self._is_storing = False

    async def _discard(self) -> None:
        with suppress(StoreFailed):
            await self._spool.discard()
            self._claim.end()

    def _fail(self, failure: EntrepotError, fetch: Fetch | None = None) -> None:
        self._failure = failure
        self._failures += 1
        self.is_confirmed = any(other.is_open for other in self._fetches if other is not fetch)

    def _note_answer(self, fetch: Fetch, stream: BlobStream) -> None:
        if stream.start > fetch.cursor:
            raise UpstreamDown(f"the upstream sent byte {stream.start} where {fetch.cursor} was asked for")
        self.size = stream.size if self.size is None else self.size
        self.is_confirmed = True
        self._origins.add(stream.origin)

    # Verifying

    async def _verify(self) -> None:
        """Keep the blob when all of it is here and right; reject it when it is wrong."""
        try:
            await self._prepare()
            is_right = await verify(self.digest, self._spool, self._growth, self._changed)
        except StoreFailed as failure:
            self._pass_on(failure)
        except Exception:
            # The task's outermost frame: whatever it was, readers must not wait for it.
            self._fail(EntrepotError(f"{self.digest} could not be verified"))
            self.is_over = True
            raise
        else:
            await (self._keep() if is_right else self._reject())
        finally:
            self._notify()
            self._parts.settled(self)

    async def _prepare(self) -> None:
        """Find out whether what an earlier process left, of a blob of unknown size, is the whole."""
        here = self._present.run_end(0)
        if self.size is None and here and await names_prefix(self.digest, self._spool, here):
            self.size = here
        self._is_prepared = True
        self._notify()

    def _growth(self) -> tuple[int, int | None]:
        return self._present.run_end(0), self.size

    async def _keep(self) -> None:
        """Let readers go on at once: the bytes are right, whatever becomes of this copy."""
        self._is_verified = True
        self._notify()
        size = self._present.run_end(0)
        try:
            await self._spool.commit(size)
            await self._parts.stored(self.digest, size)
            self._claim.end()
        except StoreFailed as failure:
            self._pass_on(failure)
            await self._discard()
        self.is_over = True

    async def _reject(self) -> None:
        for origin in self._origins:
            origin.distrust(self.digest)
        await self._discard()
        self.is_over = True
        self._fail(WrongContent(f"the upstream sent wrong bytes for {self.digest}"))
