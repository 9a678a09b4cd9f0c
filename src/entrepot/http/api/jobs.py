"""Jobs: what runs behind the answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Literal

from litestar import Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from entrepot.errors import NotHere, Refused
from entrepot.http.api.actions import recorded
from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.names import moment
from entrepot.http.api.paging import PAGE_HEADERS, SearchText, ThePaging, TheRequest, arranged, cut
from entrepot.http.api.parts import Parts
from entrepot.http.api.problems import problems
from entrepot.policy.permission import Action
from entrepot.policy.spelling import did_you_mean
from entrepot.ports.jobs import JobState

__all__ = ["HANDLERS", "JOB_LOCATION", "Job", "show_job", "start_job"]

Sort = Literal[
    "name",
    "-name",
    "last_started_at",
    "-last_started_at",
    "last_ended_at",
    "-last_ended_at",
    "next_at",
    "-next_at",
]
JOB_LOCATION = ResponseHeader(name="Location", description="The job, to be watched.", documentation_only=True)


class Job(Struct):
    """`every_seconds`, or `schedule` as cron has it, in UTC; with neither it runs when there is reason to.

    What is told of the last run is of this process: `reason` why it failed, `counts` what it did.
    """

    name: str
    description: str
    every_seconds: float | None
    schedule: str | None
    running: bool
    last_started_at: datetime | None
    last_ended_at: datetime | None
    last_outcome: Literal["ok", "failed"] | None
    reason: str | None
    counts: Mapping[str, int]
    next_at: datetime | None


@get("/jobs", opt=needs(Action.SEE), responses=problems(), response_headers=PAGE_HEADERS, tags=["jobs"])
async def list_jobs(
    request: TheRequest,
    paging: ThePaging,
    parts: TheParts,
    *,
    outcome: FromQuery[Literal["ok", "failed"] | None] = None,
    running: FromQuery[bool | None] = None,
    search: SearchText = "",
    sort: FromQuery[Sort] = "name",
) -> Response[list[Job]]:
    """List what runs behind the answers, the syncs of the configuration included."""
    matching = [
        job
        for job in map(show_job, parts.jobs.all())
        if search in job.name and outcome in (None, job.last_outcome) and running in (None, job.running)
    ]
    return cut(request, paging, arranged(matching, sort, "name"))


@get("/jobs/{name:str}", opt=needs(Action.SEE), responses=problems(404), tags=["jobs"])
async def get_job(name: FromPath[str], parts: TheParts) -> Job:
    """Tell of one job: whether it runs, how its last run went, when the next is due."""
    state = parts.jobs.find(name)
    if state is None:
        hint = did_you_mean(name, [one.name for one in parts.jobs.all()])
        raise NotHere(f"there is no job {name}{hint}")
    return show_job(state)


@post(
    "/jobs/{name:str}/run",
    opt=needs(Action.RUN),
    responses=problems(404, 409),
    response_headers=[JOB_LOCATION],
    tags=["jobs"],
    status_code=202,
)
async def run_job(request: TheRequest, name: FromPath[str], parts: TheParts) -> Response[Job]:
    """Begin a run now, due or not; the job tells when it has ended, and how."""
    with recorded(parts, request, "run job") as detail:
        detail["job"] = name
        state = await start_job(name, parts)
    return Response(show_job(state), headers={"Location": request.url.path.rstrip("/").removesuffix("/run")})


HANDLERS = [list_jobs, get_job, run_job]


async def start_job(name: str, parts: Parts, patience: float = 0.0) -> JobState:
    """Begin a run, and wait so many seconds for its end; a 409 where it runs already."""
    try:
        return await parts.jobs.start(name, patience)
    except Refused as refusal:
        raise HTTPException(str(refusal), status_code=HTTPStatus.CONFLICT) from refusal


def show_job(state: JobState) -> Job:
    last = state.last
    return Job(
        name=state.name,
        description=state.description,
        every_seconds=state.every_seconds,
        schedule=state.schedule,
        running=state.is_running,
        last_started_at=_moment(state.last_started_at),
        last_ended_at=_moment(state.last_ended_at),
        last_outcome=None if last is None else "ok" if last.failure is None else "failed",
        reason=None if last is None else last.failure,
        counts={} if last is None else last.counts,
        next_at=_moment(state.next_at),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None or math.isinf(seconds) else moment(seconds)
