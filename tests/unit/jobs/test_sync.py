from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from structlog.testing import capture_logs

from entrepot.config.schema import Settings, SyncSettings
from entrepot.config.units import Seconds
from entrepot.engine.warming import Extent
from entrepot.engine.warms import Warms
from entrepot.errors import Refused
from entrepot.jobs.sync import Sync, Syncs, planned
from entrepot.oci.platform import Platform
from entrepot.policy.cron import Cron, Every
from entrepot.policy.wanted import Wanted
from entrepot.testing.virtual_clock import VirtualClock

WANTED = (Wanted("docker.io", "library/alpine", ("3",)),)
NIGHTLY = Sync("nightly", Cron("0 3 * * *"), WANTED, Extent())
HOURLY = Sync("hourly", Every(3600), WANTED, Extent())


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class Notebook:
    """Warms that are noted, and run until they are ended."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.begun: list[tuple[str, float]] = []
        self.last: dict[str, float] = {}
        self.running: set[str] = set()
        self.refuses = False

    def begin(self, wanted: Sequence[Wanted], _extent: Extent, origin: str) -> None:
        if self.refuses:
            raise Refused("too many run")
        assert tuple(wanted) == WANTED
        self.begun.append((origin, self.clock.now()))

    def last_begun_at(self, origin: str) -> float | None:
        return self.last.get(origin)

    def note_begun(self, origin: str, now: float) -> None:
        self.last[origin] = now

    def is_running(self, origin: str) -> bool:
        return origin in self.running


class Day:
    """A clock and the syncs that run by it."""

    def __init__(self, begin: str, *plans: Sync) -> None:
        self.clock = VirtualClock(_at(begin))
        self.notes = Notebook(self.clock)
        self.syncs = Syncs(lambda: plans, cast("Warms", self.notes), self.clock)

    async def pass_until(self, end: str) -> list[str]:
        """Let time pass; return when warms began meanwhile."""
        running: asyncio.Task[Any] = asyncio.ensure_future(self.syncs.run())
        before = len(self.notes.begun)
        while self.clock.now() < _at(end):
            await asyncio.sleep(0)
            self.clock.advance(10)
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        return [datetime.fromtimestamp(at, UTC).isoformat()[:16] for _, at in self.notes.begun[before:]]


async def test_a_cron_schedule_begins_at_its_time_and_not_at_the_first_start() -> None:
    day = Day("2026-03-01T12:00", NIGHTLY)
    assert await day.pass_until("2026-03-03T12:00") == ["2026-03-02T03:00", "2026-03-03T03:00"]
    assert {origin for origin, _ in day.notes.begun} == {"sync nightly"}


async def test_an_interval_begins_at_the_first_start() -> None:
    day = Day("2026-03-01T12:00", HOURLY)
    assert await day.pass_until("2026-03-01T14:30") == [
        "2026-03-01T12:00",
        "2026-03-01T13:00",
        "2026-03-01T14:00",
    ]


async def test_runs_that_were_missed_are_made_up_for_once() -> None:
    day = Day("2026-03-09T12:00", NIGHTLY)
    day.notes.last["sync nightly"] = _at("2026-03-01T03:00")
    assert await day.pass_until("2026-03-10T12:00") == ["2026-03-09T12:00", "2026-03-10T03:00"]


async def test_a_run_waits_for_the_one_before() -> None:
    day = Day("2026-03-01T12:00", HOURLY)
    day.notes.running.add("sync hourly")
    assert await day.pass_until("2026-03-01T13:30") == []
    day.notes.running.clear()
    assert await day.pass_until("2026-03-01T14:00") == ["2026-03-01T13:30"]


async def test_a_run_that_is_refused_is_tried_again() -> None:
    day = Day("2026-03-01T12:00", HOURLY)
    day.notes.refuses = True
    with capture_logs() as lines:
        assert await day.pass_until("2026-03-01T12:01") == []
    assert {line["event"] for line in lines} == {"sync_delayed"}
    day.notes.refuses = False
    assert await day.pass_until("2026-03-01T12:02") == ["2026-03-01T12:01"]


def test_what_is_configured_is_planned() -> None:
    nightly = SyncSettings(
        name="nightly",
        upstream="docker.io",
        repositories=("alpine", "team/*"),
        tags=("3.*",),
        semver="^3",
        exclude_tags=("*-rc*",),
        platforms=("linux/amd64", "linux/arm64/v8"),
        referrers=True,
        only_signed=True,
        schedule="0 3 * * *",
    )
    hourly = SyncSettings(
        name="hourly", upstream="ghcr.io", repositories=("one",), poll_interval=Seconds(3600)
    )
    plan, other = planned(Settings(sync=(nightly, hourly)))
    assert plan == Sync(
        "nightly",
        Cron("0 3 * * *"),
        (
            Wanted("docker.io", "library/alpine", ("3.*",), None, "^3", ("*-rc*",)),
            Wanted("docker.io", "team/*", ("3.*",), None, "^3", ("*-rc*",)),
        ),
        Extent((Platform("linux", "amd64"), Platform("linux", "arm64")), referrers=True, only_signed=True),
    )
    assert other.extent == Extent()
    assert (other.schedule, other.wanted) == (Every(3600), (Wanted("ghcr.io", "one"),))
