"""Events: what the log said lately."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import Response, get
from litestar.params import FromQuery, QueryParameter

from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.paging import PAGE_HEADERS, ThePaging, TheRequest, cut
from entrepot.http.api.problems import problems
from entrepot.policy.permission import Action
from entrepot.telemetry.events import Event

__all__ = ["HANDLERS"]

Level = Literal["debug", "info", "warning", "error", "critical"]
_LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error", "critical")


@get("/events", opt=needs(Action.SEE), responses=problems(), response_headers=PAGE_HEADERS, tags=["events"])
async def list_events(
    request: TheRequest,
    paging: ThePaging,
    parts: TheParts,
    *,
    level: FromQuery[Level] = "debug",
    event: Annotated[
        str | None, QueryParameter(max_length=100, description="Only those of this event word.")
    ] = None,
    after: Annotated[int, QueryParameter(ge=0, description="Only those of a greater number.")] = 0,
) -> Response[list[Event]]:
    """List the last thousand events of the log, the newest first: those of `level` and above.

    What the setting `log.level` keeps out of the log is not here either.
    """
    wanted = _LEVELS[_LEVELS.index(level) :]
    matching = [
        one
        for one in parts.events.newest_first()
        if one.level in wanted and one.number > after and event in (None, one.event)
    ]
    return cut(request, paging, matching)


HANDLERS = [list_events]
