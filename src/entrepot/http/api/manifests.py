"""Manifests: what they hold, what they are made of, and who refers to them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from litestar import Response, get, post
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct, structs

from entrepot.engine.inspection import Held
from entrepot.engine.scrub import Verdict
from entrepot.errors import ManifestNotHere
from entrepot.http.api.actions import recorded
from entrepot.http.api.blobs import Verified, show_finding
from entrepot.http.api.etags import tagged
from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.names import (
    DigestText,
    ReferenceText,
    RepositoryText,
    moment,
    read_digest,
    read_reference,
    read_repository,
)
from entrepot.http.api.paging import PAGE_HEADERS, SearchText, ThePaging, TheRequest, cut, paged
from entrepot.http.api.problems import UPSTREAM, problems
from entrepot.oci.image import Content, ImageConfig, describe_referrers
from entrepot.policy.permission import Action
from entrepot.ports.catalogue import HeldManifest

__all__ = ["HANDLERS"]

Sort = Literal[
    "digest", "-digest", "size", "-size", "fetched_at", "-fetched_at", "last_used_at", "-last_used_at"
]


ArtifactType = Annotated[
    str | None, QueryParameter(max_length=300, description="Only those of this artifact type.")
]


class ManifestRow(Struct):
    digest: str
    media_type: str
    size: int
    fetched_at: datetime
    last_used_at: datetime
    uses: int


class PlatformManifest(Content, frozen=True, kw_only=True):
    """`cached`: how much of the image is here, `part` where some of its blobs are not."""

    cached: Held


class Manifest(Struct):
    """`platforms`: what an index leads to; `layers` and `config`: what an image is made of.

    `image` is what the config says, history included; `null` where its bytes are not cached.
    """

    repository: str
    digest: str
    media_type: str
    size: int
    platforms: list[PlatformManifest]
    layers: list[Content]
    config: Content | None
    image: ImageConfig | None
    subject: Content | None
    artifact_type: str | None
    annotations: dict[str, str]


@get(
    "/manifests",
    opt=needs(Action.SEE),
    responses=problems(404),
    response_headers=PAGE_HEADERS,
    tags=["manifests"],
)
async def list_manifests(
    request: TheRequest,
    paging: ThePaging,
    parts: TheParts,
    *,
    repository: RepositoryText,
    search: SearchText = "",
    sort: FromQuery[Sort] = "digest",
) -> Response[list[ManifestRow]]:
    """List the manifests of a repository that are cached, tagged or not."""
    within = read_repository(repository, parts.sites)
    found = await parts.catalogue.held_manifests(within, paging.find(sort, search))
    return paged(request, paging, [_row(row) for row in found.rows], found.total)


@get("/manifests/{reference:str}", opt=needs(Action.SEE), responses=problems(404), tags=["manifests"])
async def get_manifest(
    reference: ReferenceText, repository: RepositoryText, parts: TheParts
) -> Response[Manifest]:
    """Look into a manifest that is cached, by its tag or its digest."""
    within = read_repository(repository, parts.sites)
    inspected = await parts.inspection.inspect(within, read_reference(reference))
    manifest, seen = inspected.manifest, inspected.description
    content = Manifest(
        repository=str(within),
        digest=str(manifest.digest),
        media_type=manifest.media_type,
        size=len(manifest.content),
        platforms=[
            PlatformManifest(**structs.asdict(named), cached=inspected.held[named.digest])
            for named in seen.platforms
        ],
        layers=seen.layers,
        config=seen.config,
        image=inspected.config,
        subject=seen.subject,
        artifact_type=seen.artifact_type,
        annotations=seen.annotations,
    )
    return tagged(content, str(manifest.digest))


@get(
    "/manifests/{digest:str}/referrers",
    opt=needs(Action.SEE),
    responses=problems(404, *UPSTREAM),
    response_headers=PAGE_HEADERS,
    tags=["manifests"],
)
async def list_referrers(
    request: TheRequest,
    paging: ThePaging,
    parts: TheParts,
    *,
    digest: DigestText,
    repository: RepositoryText,
    artifact_type: ArtifactType = None,
) -> Response[list[Content]]:
    """List what refers to a manifest, signatures and attestations among it, as clients are told.

    The upstream is asked where its last answer is not fresh any more.
    """
    within = read_repository(repository, parts.sites)
    answer = await parts.lists.referrers(within, read_digest(digest))
    found = describe_referrers(answer.value)
    return cut(request, paging, [one for one in found if artifact_type in (None, one.artifact_type)])


@post(
    "/manifests/{digest:str}/verify",
    opt=needs(Action.VERIFY),
    responses=problems(404),
    tags=["manifests"],
    status_code=200,
)
async def verify_manifest(request: TheRequest, digest: DigestText, parts: TheParts) -> Verified:
    """Read a manifest again; one that the disk has changed is dropped, and the next pull fetches it."""
    with recorded(parts, request, "verify", reference=digest) as detail:
        finding = await parts.scrub.manifest(read_digest(digest))
        detail["verdict"] = finding.verdict.value
    if finding.verdict is Verdict.GONE:
        raise ManifestNotHere(f"{digest} is not cached here")
    return show_finding(finding)


HANDLERS = [list_manifests, get_manifest, list_referrers, verify_manifest]


def _row(row: HeldManifest) -> ManifestRow:
    fetched_at, last_used_at = moment(row.fetched_at), moment(row.last_used_at)
    return ManifestRow(str(row.digest), row.media_type, row.size, fetched_at, last_used_at, row.uses)
