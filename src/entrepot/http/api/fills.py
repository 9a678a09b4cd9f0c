"""Fills: the downloads that run now."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from litestar import Response, get
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from entrepot.engine.fill import Fill as RunningFill
from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.names import moment
from entrepot.http.api.paging import PAGE_HEADERS, SearchText, ThePaging, TheRequest, arranged, cut
from entrepot.http.api.problems import problems
from entrepot.policy.permission import Action

__all__ = ["HANDLERS"]

Sort = Literal[
    "began_at",
    "-began_at",
    "size",
    "-size",
    "received",
    "-received",
    "bytes_per_second",
    "-bytes_per_second",
]


class Fill(Struct):
    """`size` is `null` while nobody told it; `received` counts what an earlier process left as well.

    `bytes_per_second` is the average since it began; so many `connections` bring it to so many `readers`.
    """

    digest: str
    repositories: list[str]
    size: int | None
    received: int
    bytes_per_second: int
    connections: int
    readers: int
    began_at: datetime


@get("/fills", opt=needs(Action.SEE), responses=problems(), response_headers=PAGE_HEADERS, tags=["fills"])
async def list_fills(
    request: TheRequest,
    paging: ThePaging,
    parts: TheParts,
    *,
    upstream: Annotated[str | None, QueryParameter(max_length=300, description="From this upstream.")] = None,
    search: SearchText = "",
    sort: FromQuery[Sort] = "began_at",
) -> Response[list[Fill]]:
    """List the blobs that are on their way, with how far they are."""
    fills = [_fill(fill) for fill in parts.fills.all() if upstream in (None, *_upstreams(fill))]
    matching = [one for one in fills if any(search in name for name in (one.digest, *one.repositories))]
    return cut(request, paging, arranged(matching, sort, "digest"))


HANDLERS = [list_fills]


def _upstreams(fill: RunningFill) -> set[str]:
    return {source.repository.upstream for source in fill.sources}


def _fill(fill: RunningFill) -> Fill:
    return Fill(
        digest=str(fill.digest),
        repositories=sorted({str(source.repository) for source in fill.sources}),
        size=fill.size,
        received=fill.progress,
        bytes_per_second=round(fill.bytes_per_second),
        connections=fill.connections,
        readers=fill.readers,
        began_at=moment(fill.began_at),
    )
