"""Collecting: what is due to go, goes now."""

from __future__ import annotations

from http import HTTPStatus

from litestar import Response, post
from litestar.openapi import ResponseSpec
from msgspec import Struct

from entrepot.http.api.actions import recorded
from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.jobs import JOB_LOCATION, Job, show_job, start_job
from entrepot.http.api.paging import TheRequest
from entrepot.http.api.problems import problems
from entrepot.policy.permission import Action
from entrepot.ports.jobs import JobState, Report

__all__ = ["HANDLERS"]

_JOB = "collect"
_COUNTS = ("bytes", "blobs", "manifests", "spools", "found", "lost", "swept")
_PATIENCE = 10.0
"""Seconds, well below what clients and proxies have."""


class Collected(Struct):
    """What has gone meanwhile, and its `bytes`; `spools` are downloads that nobody went on with.

    `lost` blobs were recorded and not there, `found` ones there and not recorded; `swept` are files that
    were nobody's. `reason` tells what could not be done.
    """

    bytes: int
    blobs: int
    manifests: int
    spools: int
    found: int
    lost: int
    swept: int
    seconds: float
    reason: str | None


@post(
    "/cache/collect",
    opt=needs(Action.COLLECT),
    responses=problems(409)
    | {
        200: ResponseSpec(Collected, description="It is done."),
        202: ResponseSpec(Job, description="It takes longer; `Location` tells of its end."),
    },
    response_headers=[JOB_LOCATION],
    tags=["cache"],
    status_code=200,
)
async def collect(request: TheRequest, parts: TheParts) -> Response[Collected | Job]:
    """Make what is due to go, go now: what has expired, what is nobody's, and what there is no room for.

    Above the high mark of the budget, what is used least goes, down to the low one. What takes more than
    ten seconds is answered by the job that goes on with it, `collect`.
    """
    with recorded(parts, request, "collect") as detail:
        state = await start_job(_JOB, parts, _PATIENCE)
        detail["done"] = not state.is_running
        if not state.is_running and state.last is not None:
            detail.update(state.last.counts)
    if state.is_running:
        location = request.url.path.rstrip("/").removesuffix("/cache/collect") + f"/jobs/{_JOB}"
        return Response(show_job(state), status_code=HTTPStatus.ACCEPTED, headers={"Location": location})
    return Response(_show(state))


HANDLERS = [collect]


def _show(state: JobState) -> Collected:
    report = state.last or Report()
    counts = {name: report.counts.get(name, 0) for name in _COUNTS}
    seconds = round((state.last_ended_at or 0.0) - (state.last_started_at or 0.0), 3)
    return Collected(**counts, seconds=seconds, reason=report.failure)
