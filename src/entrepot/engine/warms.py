"""The warms of this cache: ordered, run, cancelled, and gone on with after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct, field

from entrepot.engine.fills import Fills
from entrepot.engine.tasks import Tasks
from entrepot.engine.warming import Extent, Image, Tally, Warming, check_count, spread
from entrepot.errors import EntrepotError, RateLimited, Refused, StoreFailed, UpstreamDown
from entrepot.policy.wanted import Wanted
from entrepot.ports.blobs import Bookmark
from entrepot.ports.clock import Clock
from entrepot.telemetry.log import log
from entrepot.telemetry.metrics import Metrics

__all__ = ["Warm", "WarmProgress", "WarmState", "Warms"]

_ROUNDS = 2
_MOST_RUNNING = 32
_MOST_ENDED = 50
_MOST_FAILURES = 1000
_MOST_LOGGED = 5
_SECONDS_BETWEEN_WRITES = 2.0


class WarmState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """It has ended, and some of its images are not here."""
    CANCELLED = "cancelled"


class Warm(Struct, kw_only=True):
    """``origin`` says who ordered it; times are epoch seconds.

    ``failures`` tells why images are not here, or why it is not known which are wanted; of one that
    has ended, the first thousand.  ``done`` names those that are here, while it runs.  ``unsigned``
    counts those that are not wanted for the lack of a signature.  ``size`` and ``here`` are bytes of blobs
    at its end: all, as far as manifests were read, and those that were here.
    """

    number: int
    origin: str
    wanted: tuple[Wanted, ...]
    extent: Extent
    begun_at: float
    ended_at: float | None = None
    state: WarmState = WarmState.RUNNING
    images: int = 0
    warmed: int = 0
    failed: int = 0
    unsigned: int = 0
    size: int = 0
    here: int = 0
    failures: dict[str, str] = msgspec.field(default_factory=dict)
    done: set[str] = msgspec.field(default_factory=set)


class WarmProgress(Struct, frozen=True):
    """``size`` and ``done`` are bytes of blobs, as far as manifests are read; ``rests`` is in seconds."""

    size: int
    done: int
    current: list[str]
    rests: float


class _Kept(Struct):
    """What outlives the process; ``begun`` tells when scheduled warms last began, by their origin."""

    warms: list[Warm] = []
    begun: dict[str, float] = {}


class _Run(Struct):
    warm: Warm
    task: asyncio.Task[None] | None = None
    tally: Tally = field(default_factory=Tally)
    known: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    """Images that another try would bring no better."""
    unsigned: set[str] = field(default_factory=set)
    current: dict[str, None] = field(default_factory=dict)


class Warms:
    """``run`` goes on with those of an earlier process, and writes down what changes; ``close`` the last."""

    def __init__(
        self,
        warming: Warming,
        fills: Fills,
        bookmark: Bookmark,
        clock: Clock,
        tasks: Tasks,
        *,
        metrics: Metrics,
    ) -> None:
        self._warming = warming
        self._fills = fills
        self._bookmark = bookmark
        self._clock = clock
        self._tasks = tasks
        self._metrics = metrics
        for family in (metrics.warms, metrics.warmed_images):
            family("failed")  # From nothing to the first is an increase too: see ``Family``.
        self._warms: dict[int, Warm] = {}
        self._runs: dict[int, _Run] = {}
        self._begun: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()

    async def run(self) -> None:
        """Go on with what was interrupted, then write down whatever changes, until cancelled."""
        self._resume()
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.keep()
            await self._clock.sleep(_SECONDS_BETWEEN_WRITES)

    async def keep(self) -> None:
        """Return when all that was ordered is written down, so that a sudden end does not undo it."""
        async with self._writing:  # One after the other: the last is the newest.
            await self._write()

    async def close(self) -> None:
        """Write down the last; the tasks must have been ended before."""
        if self._warms or self._begun:
            await self.keep()

    def begin(self, wanted: Sequence[Wanted], extent: Extent, origin: str) -> Warm:
        """Order a warm; raise ``Refused`` where too many run."""
        if len(self._runs) >= _MOST_RUNNING:
            raise Refused(f"{len(self._runs)} warms are running: wait for one to end, or cancel it")
        number = max(self._warms, default=0) + 1
        warm = Warm(
            number=number,
            origin=origin,
            wanted=tuple(wanted),
            extent=extent,
            begun_at=self._clock.now(),
        )
        self._warms[number] = warm
        self._start(warm)
        return warm

    def all(self) -> list[Warm]:
        """Return those that run and the last that ended, the newest first."""
        return sorted(self._warms.values(), key=lambda warm: -warm.number)

    def find(self, number: int) -> Warm | None:
        return self._warms.get(number)

    def progress(self, warm: Warm) -> WarmProgress | None:
        """Tell how far a running warm is."""
        run = self._runs.get(warm.number)
        if run is None:
            return None
        coming = ((self._fills.running(digest), size) for digest, size in run.tally.coming.items())
        here = sum(min(fill.progress, size) for fill, size in coming if fill is not None)
        rests = max((self._warming.rest(wanted.upstream) for wanted in warm.wanted), default=0.0)
        return WarmProgress(run.tally.size, run.tally.done + here, list(run.current), rests)

    def cancel(self, number: int) -> None:
        """End a warm if it runs; fills that it began end by themselves."""
        run = self._runs.get(number)
        if run is not None and run.task is not None:
            run.task.cancel()
            self._end(run, WarmState.CANCELLED)

    def last_begun_at(self, origin: str) -> float | None:
        return self._begun.get(origin)

    def note_begun(self, origin: str, now: float) -> None:
        self._begun[origin] = now
        self._changed.set()

    def is_running(self, origin: str) -> bool:
        return any(run.warm.origin == origin for run in self._runs.values())

    def _resume(self) -> None:
        try:
            kept = msgspec.json.decode(self._bookmark.read() or b"{}", type=_Kept)
        except (StoreFailed, msgspec.DecodeError, UnicodeDecodeError) as failure:
            log.warning("warms_forgotten", reason=str(failure))
            return
        self._begun = kept.begun
        for warm in kept.warms:
            self._warms[warm.number] = warm
            if warm.state is WarmState.RUNNING:
                self._start(warm)

    async def _write(self) -> None:
        try:
            await self._bookmark.write(
                msgspec.json.encode(_Kept(list(self._warms.values()), dict(self._begun)))
            )
        except StoreFailed as failure:
            log.warning("warms_not_kept", reason=str(failure))

    def _start(self, warm: Warm) -> None:
        run = self._runs[warm.number] = _Run(warm)
        run.task = self._tasks.spawn(self._run(run), f"warm {warm.number}")
        self._metrics.warms_running().inc()
        self._changed.set()

    async def _run(self, run: _Run) -> None:
        warm, pending = run.warm, list(run.warm.wanted)
        try:
            for _ in range(_ROUNDS):
                pending = await self._round(run, pending)
        except Exception:
            # The task's outermost frame: whatever it was, it must not seem to run for ever.
            self._end(run, WarmState.FAILED)
            raise
        self._end(run, WarmState.FAILED if warm.failures else WarmState.DONE)

    async def _round(self, run: _Run, pending: list[Wanted]) -> list[Wanted]:
        """Bring what is wanted; return what failed in a way that may pass."""
        again: dict[Wanted, None] = {}
        images: dict[Image, Wanted] = {}

        async def resolve(wanted: Wanted) -> None:
            try:
                found = await self._warming.images(wanted)
                check_count(images.keys() | found)
                images.update(dict.fromkeys(found, wanted))
                run.warm.failures.pop(str(wanted), None)
            except EntrepotError as failure:
                self._note_failure(run, str(wanted), failure)
                if _may_pass(failure):
                    again[wanted] = None

        async def bring(image: Image) -> None:
            failure = await self._bring(run, image)
            if failure is not None and _may_pass(failure):
                again[images[image]] = None
            elif failure is not None:
                run.given_up.add(str(image))

        await spread(pending, resolve, self._warming.at_once)
        run.known.update(map(str, images))
        run.warm.images = len(run.known)
        over = run.warm.done | run.given_up | run.unsigned
        todo = [image for image in images if str(image) not in over]
        await spread(todo, bring, self._warming.at_once)
        return list(again)

    async def _bring(self, run: _Run, image: Image) -> EntrepotError | None:
        name, warm = str(image), run.warm
        run.current[name] = None
        try:
            is_wanted = await self._warming.bring(image, warm.extent, run.tally)
        except EntrepotError as failure:
            self._note_failure(run, name, failure)
            return failure
        finally:
            run.current.pop(name, None)
        warm.failures.pop(name, None)
        warm.failed = len(warm.failures)
        (warm.done if is_wanted else run.unsigned).add(name)
        warm.warmed, warm.unsigned = len(warm.done), len(run.unsigned)
        self._changed.set()
        return None

    def _note_failure(self, run: _Run, name: str, failure: EntrepotError) -> None:
        run.warm.failures[name] = str(failure)
        run.warm.failed = len(run.warm.failures)
        self._changed.set()

    def _end(self, run: _Run, state: WarmState) -> None:
        """Note how a warm has ended, once."""
        warm = run.warm
        progress = self.progress(warm)
        if progress is None:
            return
        del self._runs[warm.number]
        warm.state, warm.ended_at = state, self._clock.now()
        warm.here = progress.done
        # What was tried twice is counted twice: where all is here, that is all there is.
        warm.size = warm.here if state is WarmState.DONE else progress.size
        warm.done.clear()
        failures = list(warm.failures.items())
        warm.failures = dict(failures[:_MOST_FAILURES])
        self._metrics.warms_running().dec()
        self._metrics.warms(state).inc()
        self._metrics.warmed_images("warmed").inc(warm.warmed)
        self._metrics.warmed_images("failed").inc(warm.failed)
        self._metrics.warmed_images("unsigned").inc(warm.unsigned)
        log.info(
            "warm_ended",
            number=warm.number,
            origin=warm.origin,
            state=str(state),
            images=warm.images,
            warmed=warm.warmed,
            failed=warm.failed,
            unsigned=warm.unsigned,
            bytes=warm.here,
            seconds=round(warm.ended_at - warm.begun_at, 3),
            failures=dict(failures[:_MOST_LOGGED]),
        )
        self._forget_oldest()
        self._changed.set()

    def _forget_oldest(self) -> None:
        ended = [number for number in self._warms if number not in self._runs]
        for number in ended[:-_MOST_ENDED]:
            del self._warms[number]


def _may_pass(failure: EntrepotError) -> bool:
    return isinstance(failure, RateLimited | UpstreamDown | StoreFailed)
