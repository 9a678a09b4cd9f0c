"""Blobs: the bytes that are stored."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from litestar import Response, get, post
from litestar.params import FromQuery
from msgspec import Struct

from entrepot.engine.scrub import Finding, Verdict
from entrepot.errors import BlobNotHere
from entrepot.http.api.actions import recorded
from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.names import AnyRepositoryText, DigestText, moment, read_digest, read_repository
from entrepot.http.api.paging import PAGE_HEADERS, SearchText, ThePaging, TheRequest, paged
from entrepot.http.api.problems import problems
from entrepot.policy.permission import Action
from entrepot.ports.catalogue import HeldBlob

__all__ = ["HANDLERS", "Verified", "show_finding"]

Sort = Literal[
    "digest", "-digest", "size", "-size", "stored_at", "-stored_at", "last_used_at", "-last_used_at"
]


class Verified(Struct):
    """`verdict`: `right`, `dropped` for wrong, or `failed` where it could not be read; `size`: bytes read."""

    digest: str
    verdict: Verdict
    size: int
    reason: str | None


class Blob(Struct):
    digest: str
    size: int
    stored_at: datetime
    last_used_at: datetime
    uses: int


@get("/blobs", opt=needs(Action.SEE), responses=problems(404), response_headers=PAGE_HEADERS, tags=["blobs"])
async def list_blobs(
    request: TheRequest,
    paging: ThePaging,
    parts: TheParts,
    *,
    repository: AnyRepositoryText = None,
    search: SearchText = "",
    sort: FromQuery[Sort] = "digest",
) -> Response[list[Blob]]:
    """List the blobs that are stored, each once, however many repositories share it."""
    within = read_repository(repository, parts.sites) if repository is not None else None
    found = await parts.catalogue.held_blobs(paging.find(sort, search), within)
    return paged(request, paging, [_blob(row) for row in found.rows], found.total)


@get("/blobs/{digest:str}", opt=needs(Action.SEE), responses=problems(404), tags=["blobs"])
async def get_blob(digest: DigestText, parts: TheParts) -> Blob:
    """Tell of one stored blob."""
    row = await parts.catalogue.held_blob(read_digest(digest))
    if row is None:
        raise BlobNotHere(f"{digest} is not stored here")
    return _blob(row)


@post(
    "/blobs/{digest:str}/verify",
    opt=needs(Action.VERIFY),
    responses=problems(404),
    tags=["blobs"],
    status_code=200,
)
async def verify_blob(request: TheRequest, digest: DigestText, parts: TheParts) -> Verified:
    """Read a stored blob again; one that the disk has changed is dropped, and the next pull fetches it."""
    with recorded(parts, request, "verify", reference=digest) as detail:
        finding = await parts.scrub.blob(read_digest(digest))
        detail["verdict"] = finding.verdict.value
    if finding.verdict is Verdict.GONE:
        raise BlobNotHere(f"{digest} is not stored here")
    return show_finding(finding)


@get(
    "/blobs/{digest:str}/repositories",
    opt=needs(Action.SEE),
    responses=problems(),
    response_headers=PAGE_HEADERS,
    tags=["blobs"],
)
async def list_holders(
    request: TheRequest, paging: ThePaging, parts: TheParts, digest: DigestText, search: SearchText = ""
) -> Response[list[str]]:
    """List the repositories that are known to hold a blob, stored or not."""
    found = await parts.catalogue.holders(read_digest(digest), paging.find("repository", search))
    return paged(request, paging, [str(repository) for repository in found.rows], found.total)


HANDLERS = [list_blobs, get_blob, verify_blob, list_holders]


def show_finding(finding: Finding) -> Verified:
    return Verified(str(finding.digest), finding.verdict, finding.size, finding.reason or None)


def _blob(row: HeldBlob) -> Blob:
    return Blob(str(row.digest), row.size, moment(row.stored_at), moment(row.last_used_at), row.uses)
