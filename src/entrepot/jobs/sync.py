"""Begins the warms that the configuration schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from entrepot.config.schema import Settings, SyncSettings
from entrepot.engine.warming import Extent
from entrepot.engine.warms import Warm, Warms, WarmState
from entrepot.errors import Refused
from entrepot.oci.platform import parse_platform
from entrepot.policy.cron import Cron, Every, Schedule, due_at
from entrepot.policy.routing import DOCKER_HUB
from entrepot.policy.wanted import Wanted, is_pattern
from entrepot.ports.clock import Clock
from entrepot.ports.jobs import JobState, Report
from entrepot.telemetry.log import log

__all__ = ["Sync", "Syncs", "planned"]

_SECONDS_BETWEEN_LOOKS = 10.0


class Sync(Struct, frozen=True):
    """What is to be brought again and again; ``name`` is told of the warms that it begins."""

    name: str
    schedule: Schedule
    wanted: tuple[Wanted, ...]
    extent: Extent

    @property
    def origin(self) -> str:
        return f"sync {self.name}"

    @property
    def job(self) -> str:
        return f"sync:{self.name}"


def planned(settings: Settings) -> list[Sync]:
    """Read what is configured; it was checked before."""
    return [
        Sync(
            configured.name,
            Cron(configured.schedule) if configured.schedule else Every(configured.poll_interval or math.inf),
            tuple(_wanted(configured)),
            Extent(
                tuple(map(parse_platform, configured.platforms)),
                referrers=configured.referrers,
                only_signed=configured.only_signed,
            ),
        )
        for configured in settings.sync
    ]


class Syncs:
    """``plans`` gives what is configured at the time.

    Runs that were missed while the cache was down are made up for by one, at its start.  A run that is
    due while the one before still runs begins when that has ended.
    """

    def __init__(self, plans: Callable[[], Sequence[Sync]], warms: Warms, clock: Clock) -> None:
        self._plans = plans
        self._warms = warms
        self._clock = clock

    async def run(self) -> None:
        """Look what is due, until cancelled."""
        while True:
            for sync in self._plans():
                self._look(sync)
            await self._clock.sleep(_SECONDS_BETWEEN_LOOKS)

    def states(self) -> Iterator[JobState]:
        """Tell of each as of a job: its last run is its last warm, if that is still known."""
        for sync in self._plans():
            yield self._state(sync)

    def start(self, job: str) -> None:
        """Begin a warm, whatever is due; raise ``Refused`` where too many run."""
        for sync in self._plans():
            if sync.job == job:
                self._warms.begin(sync.wanted, sync.extent, sync.origin)
                self._warms.note_begun(sync.origin, self._clock.now())

    def _state(self, sync: Sync) -> JobState:
        now, schedule = self._clock.now(), sync.schedule
        begun = self._warms.last_begun_at(sync.origin)
        is_running = self._warms.is_running(sync.origin)
        ended = next(
            (warm for warm in self._warms.all() if warm.origin == sync.origin and warm.ended_at), None
        )
        return JobState(
            name=sync.job,
            description="Fetches what the configuration names, before it is asked for.",
            every_seconds=schedule.seconds if isinstance(schedule, Every) else None,
            schedule=schedule.expression if isinstance(schedule, Cron) else None,
            is_running=is_running,
            last_started_at=begun,
            last_ended_at=ended.ended_at if ended is not None else None,
            last=_report(ended) if ended is not None else None,
            next_at=None if is_running else max(now, due_at(schedule, now if begun is None else begun, now)),
        )

    def _look(self, sync: Sync) -> None:
        now = self._clock.now()
        last = self._warms.last_begun_at(sync.origin)
        if last is None and not isinstance(sync.schedule, Every):
            # The first run of all is at its time, not at once: it counts from when it was first seen.
            self._warms.note_begun(sync.origin, now)
            return
        is_due = last is None or due_at(sync.schedule, last, now) <= now
        if not is_due or self._warms.is_running(sync.origin):
            return
        try:
            self._warms.begin(sync.wanted, sync.extent, sync.origin)
        except Refused as refusal:
            log.warning("sync_delayed", sync=sync.name, reason=str(refusal))
        else:
            self._warms.note_begun(sync.origin, now)


def _report(warm: Warm) -> Report:
    counts = {"images": warm.images, "warmed": warm.warmed, "failed": warm.failed, "bytes": warm.here}
    failures = {
        WarmState.FAILED: f"some of it failed: see warm {warm.number}",
        WarmState.CANCELLED: "it was cancelled",
    }
    return Report(counts, failures.get(warm.state))


def _wanted(configured: SyncSettings) -> Iterator[Wanted]:
    for repository in configured.repositories:
        is_short = configured.upstream == DOCKER_HUB and "/" not in repository and not is_pattern(repository)
        yield Wanted(
            configured.upstream,
            f"library/{repository}" if is_short else repository,
            configured.tags,
            configured.tag_regex,
            configured.semver,
            configured.exclude_tags,
        )
