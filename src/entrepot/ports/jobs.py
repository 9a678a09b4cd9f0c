"""What runs behind the answers: how it went the last time, when it runs again, and that it runs now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec
from msgspec import Struct

__all__ = ["JobState", "Jobs", "Report"]


class Report(Struct, frozen=True):
    """What came of a run: what it counted, and why it failed, or some of it, where it did."""

    counts: Mapping[str, int] = msgspec.field(default_factory=dict)
    failure: str | None = None


class JobState(Struct, frozen=True, kw_only=True):
    """Times are epoch seconds, and of this process; ``last`` is what came of the last run that has ended.

    ``every_seconds`` or ``schedule``, a cron expression, tells when it runs; neither, that it runs when
    there is reason to.
    """

    name: str
    description: str
    every_seconds: float | None = None
    schedule: str | None = None
    is_running: bool = False
    last_started_at: float | None = None
    last_ended_at: float | None = None
    last: Report | None = None
    next_at: float | None = None


class Jobs(Protocol):
    def all(self) -> list[JobState]: ...

    def find(self, name: str) -> JobState | None: ...

    async def start(self, name: str, patience: float = 0.0) -> JobState:
        """Begin a run, and wait up to so many seconds for its end; return how it is then.

        Raises ``NotHere`` where there is no such job, and ``Refused`` where it runs, or may not now.
        """
        ...
