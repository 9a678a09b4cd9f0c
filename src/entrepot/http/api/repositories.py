"""Repositories: of which something is cached."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from litestar import Response, get
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.names import moment
from entrepot.http.api.paging import PAGE_HEADERS, SearchText, ThePaging, TheRequest, paged
from entrepot.http.api.problems import problems
from entrepot.policy.permission import Action
from entrepot.ports.catalogue import HeldRepository

__all__ = ["HANDLERS"]

Sort = Literal["repository", "-repository", "size", "-size", "last_used_at", "-last_used_at"]


class Repository(Struct):
    """`repository` names it everywhere here; `size`: bytes stored of its blobs, others may share them."""

    repository: str
    upstream: str
    name: str
    tags: int
    manifests: int
    size: int
    last_used_at: datetime | None


@get(
    "/repositories",
    opt=needs(Action.SEE),
    responses=problems(),
    response_headers=PAGE_HEADERS,
    tags=["repositories"],
)
async def list_repositories(
    request: TheRequest,
    paging: ThePaging,
    parts: TheParts,
    *,
    upstream: Annotated[str | None, QueryParameter(max_length=300, description="Of this upstream.")] = None,
    search: SearchText = "",
    sort: FromQuery[Sort] = "repository",
) -> Response[list[Repository]]:
    """List the repositories of which a manifest is cached."""
    found = await parts.catalogue.held_repositories(paging.find(sort, search), upstream)
    return paged(request, paging, [_repository(row) for row in found.rows], found.total)


HANDLERS = [list_repositories]


def _repository(row: HeldRepository) -> Repository:
    return Repository(
        repository=str(row.repository),
        upstream=row.repository.upstream,
        name=row.repository.name,
        tags=row.tags,
        manifests=row.manifests,
        size=row.size,
        last_used_at=moment(row.last_used_at) if row.last_used_at is not None else None,
    )
