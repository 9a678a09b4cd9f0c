"""When scheduled work is due: by a cron expression, in UTC, or by an interval."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf

from cronsim import CronSim, CronSimError
from msgspec import Struct

__all__ = ["Cron", "Every", "InvalidCron", "Schedule", "check_cron", "due_at"]


class InvalidCron(ValueError):
    """The text is no cron expression."""


class Cron(Struct, frozen=True):
    """Five fields: minute, hour, day of the month, month, day of the week; checked by ``check_cron``."""

    expression: str


class Every(Struct, frozen=True):
    """``seconds`` from the begin of one run to that of the next."""

    seconds: float


Schedule = Cron | Every


def check_cron(expression: str) -> Cron:
    """Read a cron expression; raise ``InvalidCron`` where it is none, or never comes true."""
    cron = Cron(expression)
    try:
        is_five = len(expression.split()) == 5
        if not is_five or _after(cron, 0.0) == inf:
            raise InvalidCron("expected minute, hour, day, month and weekday, such as 0 3 * * *")
    except CronSimError as error:
        raise InvalidCron(f"expected a cron expression such as 0 3 * * *: {str(error).lower()}") from error
    return cron


def due_at(schedule: Schedule, last_begun_at: float, now: float) -> float:
    """Return when the next run is due, in epoch seconds: before ``now`` where it was missed.

    However many were missed, one run makes up for them.  A clock that was set back delays nothing.
    """
    since = min(last_begun_at, now)
    return since + schedule.seconds if isinstance(schedule, Every) else _after(schedule, since)


def _after(cron: Cron, moment: float) -> float:
    upcoming = next(CronSim(cron.expression, datetime.fromtimestamp(moment, UTC)), None)
    return inf if upcoming is None else upcoming.timestamp()
