"""Tags: what they mean here, and what they mean upstream now."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from litestar import Response, get, post
from litestar.params import FromQuery
from msgspec import Struct

from entrepot.errors import ManifestNotHere
from entrepot.http.api.actions import recorded
from entrepot.http.api.etags import IfMatch, check_match, tagged
from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.names import RepositoryText, TagText, moment, read_repository
from entrepot.http.api.paging import PAGE_HEADERS, SearchText, ThePaging, TheRequest, paged
from entrepot.http.api.parts import Parts
from entrepot.http.api.problems import UPSTREAM, problems
from entrepot.oci import reference as names
from entrepot.oci.reference import Repository
from entrepot.policy.permission import Action
from entrepot.ports.catalogue import HeldTag

__all__ = ["HANDLERS"]

Sort = Literal["tag", "-tag", "checked_at", "-checked_at"]


class Tag(Struct):
    """`checked_at`: when the upstream last said so; `media_type`, `size`: of the manifest, if it is held."""

    repository: str
    tag: str
    digest: str
    checked_at: datetime
    media_type: str | None
    size: int | None


class Refreshed(Struct):
    """`before` is `null` for a tag that was not known."""

    repository: str
    tag: str
    before: str | None
    after: str
    changed: bool


@get("/tags", opt=needs(Action.SEE), responses=problems(404), response_headers=PAGE_HEADERS, tags=["tags"])
async def list_tags(
    request: TheRequest,
    paging: ThePaging,
    parts: TheParts,
    *,
    repository: RepositoryText,
    search: SearchText = "",
    sort: FromQuery[Sort] = "tag",
) -> Response[list[Tag]]:
    """List the tags of a repository that are cached."""
    within = read_repository(repository, parts.sites)
    found = await parts.catalogue.held_tags(within, paging.find(sort, search))
    return paged(request, paging, [_tag(within, row) for row in found.rows], found.total)


@get("/tags/{tag:str}", opt=needs(Action.SEE), responses=problems(404), tags=["tags"])
async def get_tag(tag: TagText, repository: RepositoryText, parts: TheParts) -> Response[Tag]:
    """Tell of one tag; its ETag is the digest that it means."""
    within = read_repository(repository, parts.sites)
    row = await _find(within, tag, parts)
    return tagged(_tag(within, row), str(row.digest))


@post(
    "/tags/{tag:str}/refresh",
    opt=needs(Action.REFRESH),
    responses=problems(404, 412, *UPSTREAM),
    tags=["tags"],
    status_code=200,
)
async def refresh_tag(
    request: TheRequest,
    tag: TagText,
    repository: RepositoryText,
    parts: TheParts,
    if_match: IfMatch = None,
) -> Response[Refreshed]:
    """Ask the upstream now what a tag means, however fresh it is here.

    A tag that is not cached yet is pulled. Where the upstream fails, what is cached stays as it was.
    """
    within = read_repository(repository, parts.sites)
    if if_match is not None:
        check_match(if_match, str((await _find(within, tag, parts)).digest))
    with recorded(parts, request, "refresh", repository=within, reference=tag) as detail:
        done = await parts.manifests.refresh(within, names.Tag(tag))
        before = str(done.before) if done.before is not None else None
        after = str(done.after)
        detail |= {"before": before, "after": after}
    return tagged(Refreshed(str(within), tag, before, after, before != after), after)


HANDLERS = [list_tags, get_tag, refresh_tag]


async def _find(repository: Repository, tag: str, parts: Parts) -> HeldTag:
    row = await parts.catalogue.held_tag(repository, tag)
    if row is None:
        raise ManifestNotHere(f"{repository} has no tag {tag} here: it was not pulled, or has gone since")
    return row


def _tag(repository: Repository, row: HeldTag) -> Tag:
    return Tag(str(repository), row.tag, str(row.digest), moment(row.checked_at), row.media_type, row.size)
