"""Upstreams: how they are, and whether they answer when they are tried."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Struct

from entrepot.http.api.actions import recorded
from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.names import moment
from entrepot.http.api.paging import PAGE_HEADERS, SearchText, ThePaging, TheRequest, arranged, cut
from entrepot.http.api.parts import Parts
from entrepot.http.api.problems import problems
from entrepot.policy.breaker import Health
from entrepot.policy.permission import Action
from entrepot.ports.condition import Budget, CredentialStanding, InspectedUpstream, Outcome

__all__ = ["HANDLERS"]

Sort = Literal["name", "-name", "state", "-state", "running_fills", "-running_fills"]


class Endpoint(Struct):
    """`retry_after_seconds`: until it is asked again; `last_failure`: why it failed when asked last."""

    url: str
    state: Health
    retry_after_seconds: float
    rate_limited: bool
    last_failure: str | None


class RateLimit(Struct):
    """Requests left as the upstream told last; all are there again at `resets_by` at the latest."""

    limit: int
    remaining: int
    told_at: datetime
    resets_by: datetime | None


class Upstream(Struct):
    """`state` is the best of its endpoints'; `credential` tells how the configured one is taken.

    `clock_ahead_seconds`: by how much this cache's clock was ahead of the upstream's, by its last answer.
    """

    name: str
    state: Health
    endpoints: list[Endpoint]
    credential: CredentialStanding
    credential_refusal: str | None
    rate_limit: RateLimit | None
    clock_ahead_seconds: float | None
    running_fills: int


class Trial(Struct):
    endpoint: str
    outcome: Outcome
    seconds: float
    reason: str | None


@get(
    "/upstreams",
    opt=needs(Action.SEE),
    responses=problems(),
    response_headers=PAGE_HEADERS,
    tags=["upstreams"],
)
async def list_upstreams(
    request: TheRequest,
    paging: ThePaging,
    parts: TheParts,
    *,
    health: Annotated[Health | None, QueryParameter(name="state")] = None,
    search: SearchText = "",
    sort: FromQuery[Sort | None] = None,
) -> Response[list[Upstream]]:
    """List the upstreams, in the order of the configuration if no other is asked for."""
    known = (_upstream(name, one, parts) for name, one in parts.upstreams().items() if search in name)
    matching = [one for one in known if health in (None, one.state)]
    return cut(request, paging, arranged(matching, sort) if sort is not None else matching)


@get("/upstreams/{name:str}", opt=needs(Action.SEE), responses=problems(404), tags=["upstreams"])
async def get_upstream(name: FromPath[str], parts: TheParts) -> Upstream:
    """Tell of one upstream: its endpoints, its credential, its rate limit."""
    return _upstream(name, _find(name, parts), parts)


@post(
    "/upstreams/{name:str}/test",
    opt=needs(Action.TEST),
    responses=problems(404),
    tags=["upstreams"],
    status_code=200,
)
async def test_upstream(request: TheRequest, name: FromPath[str], parts: TheParts) -> list[Trial]:
    """Ask every endpoint now whether it answers, and whether it takes the credential.

    An endpoint that was left alone for failing is asked all the same, and trusted again if it answers.
    """
    upstream = _find(name, parts)
    with recorded(parts, request, "test", upstream=name) as detail:
        trials = await upstream.try_out()
        detail |= {trial.url: trial.outcome.value for trial in trials}
    return [Trial(one.url, one.outcome, round(one.seconds, 6), one.reason) for one in trials]


HANDLERS = [list_upstreams, get_upstream, test_upstream]


def _find(name: str, parts: Parts) -> InspectedUpstream:
    upstream = parts.upstreams().get(name)
    if upstream is None:
        raise parts.sites.unknown(name)
    return upstream


def _upstream(name: str, upstream: InspectedUpstream, parts: Parts) -> Upstream:
    condition = upstream.condition()
    ahead = condition.clock_ahead
    return Upstream(
        name=name,
        state=parts.sites.named(name).upstream.breaker.health(),
        endpoints=[
            Endpoint(one.url, one.health, round(one.retry_after, 3), one.is_rate_limited, one.last_failure)
            for one in condition.endpoints
        ],
        credential=condition.credential,
        credential_refusal=condition.refusal,
        rate_limit=_rate_limit(condition.budget),
        clock_ahead_seconds=None if ahead is None else round(ahead, 1),
        running_fills=sum(fill.sources[0].repository.upstream == name for fill in parts.fills.all()),
    )


def _rate_limit(budget: Budget | None) -> RateLimit | None:
    if budget is None:
        return None
    resets_by = moment(budget.resets_by) if budget.resets_by is not None else None
    return RateLimit(budget.limit, budget.remaining, moment(budget.told_at), resets_by)
