"""Warms: images that are fetched before anybody asks for them."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar

from litestar import Response, delete, get, post
from litestar.datastructures import ResponseHeader
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from entrepot.engine import warms as engine
from entrepot.engine.warming import Extent
from entrepot.engine.warms import WarmProgress, WarmState
from entrepot.errors import NotHere, Refused
from entrepot.http.api import forms
from entrepot.http.api.actions import recorded
from entrepot.http.api.faults import Fault, found
from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.names import moment
from entrepot.http.api.paging import PAGE_HEADERS, ThePaging, TheRequest, arranged, cut
from entrepot.http.api.parameters import Malformed
from entrepot.http.api.parts import Parts
from entrepot.http.api.problems import problems
from entrepot.oci.image_reference import InvalidImage, parse_image
from entrepot.oci.platform import InvalidPlatform, Platform, parse_platform
from entrepot.policy.permission import Action
from entrepot.policy.routing import NameInvalid, UpstreamTable
from entrepot.policy.wanted import Wanted, locate

__all__ = ["HANDLERS"]

Sort = Literal["id", "-id", "begun_at", "-begun_at", "ended_at", "-ended_at", "size", "-size"]
_MOST_SHOWN = 1000
_LOCATION = ResponseHeader(name="Location", description="The warm, to be watched.", documentation_only=True)
ImageText = Annotated[str, Meta(pattern=forms.IMAGE, max_length=240)]
PlatformText = Annotated[str, Meta(pattern=forms.PLATFORM, max_length=100)]


class Order(Struct, forbid_unknown_fields=True):
    """What to fetch: `images` as people name them (`alpine`, `ghcr.io/o/n:v1`, `n@sha256:...`).

    A tag may be a pattern (`nginx:1.2*`). Without `platforms` (`linux/arm64`), all of them are fetched.
    With `referrers`, so is what refers to them: signatures, SBOMs. `only_signed` leaves others alone.
    """

    images: Annotated[list[ImageText], Meta(min_length=1, max_length=10_000)]
    platforms: Annotated[list[PlatformText], Meta(max_length=100)] = []
    referrers: bool = False
    only_signed: bool = False


class Warm(Struct):
    """`images` grows until all tags are listed, `size` until all manifests are read.

    `size` and `done` are bytes of blobs, all and those that are here; what images share counts for each.
    `unsigned` are those that are left alone, where only signed ones are wanted.
    `paused_seconds`: how long an upstream that counts too many requests is still left alone.
    """

    id: int
    origin: str
    state: WarmState
    platforms: list[str]
    referrers: bool
    only_signed: bool
    begun_at: datetime
    ended_at: datetime | None
    images: int
    warmed: int
    failed: int
    unsigned: int
    size: int
    done: int
    current: list[str]
    paused_seconds: float


class Failure(Struct):
    """What is not here, or of what it is not known which images it means."""

    image: str
    reason: str


class WarmDetails(Warm):
    """`failures` are the first thousand."""

    failures: list[Failure]


W = TypeVar("W", bound=Warm)


@post(
    "/warms",
    opt=needs(Action.WARM),
    responses=problems(409),
    response_headers=[_LOCATION],
    tags=["warms"],
    status_code=202,
)
async def order_warm(request: TheRequest, data: JSONBody[Order], parts: TheParts) -> Response[Warm]:
    """Have images fetched: it goes on when the caller has left, and after a restart.

    What of it fails, is told by the warm.
    """
    wanted = [_wanted(text, number, parts.sites.table) for number, text in enumerate(data.images)]
    platforms = tuple(_platform(text, number) for number, text in enumerate(data.platforms))
    extent = Extent(platforms, referrers=data.referrers, only_signed=data.only_signed)
    with recorded(parts, request, "warm") as detail:
        detail |= {"images": len(wanted), "first": str(wanted[0])}
        try:
            warm = parts.warms.begin(wanted, extent, request.user.name)
        except Refused as refusal:
            raise HTTPException(str(refusal), status_code=HTTPStatus.CONFLICT) from refusal
        detail["warm"] = warm.number
        await parts.warms.keep()
    location = f"{request.url.path.rstrip('/')}/{warm.number}"
    return Response(_show(warm, parts, Warm), headers={"Location": location})


@get("/warms", opt=needs(Action.SEE), responses=problems(), response_headers=PAGE_HEADERS, tags=["warms"])
async def list_warms(
    request: TheRequest,
    paging: ThePaging,
    parts: TheParts,
    *,
    which: Annotated[WarmState | None, QueryParameter(name="state")] = None,
    search: Annotated[str, QueryParameter(max_length=300, description="Only of such an origin.")] = "",
    sort: FromQuery[Sort] = "-id",
) -> Response[list[Warm]]:
    """List the warms that run and the last fifty that ended, those of `sync` included, the newest first."""
    matching = (one for one in parts.warms.all() if which in (None, one.state) and search in one.origin)
    return cut(request, paging, arranged((_show(one, parts, Warm) for one in matching), sort, "id"))


@get("/warms/{number:int}", opt=needs(Action.SEE), responses=problems(404), tags=["warms"])
async def get_warm(number: FromPath[int], parts: TheParts) -> WarmDetails:
    """Tell how far a warm is, and what of it failed."""
    warm = _find(number, parts)
    shown = list(warm.failures.items())[:_MOST_SHOWN]
    return _show(warm, parts, WarmDetails, failures=[Failure(image, reason) for image, reason in shown])


@delete("/warms/{number:int}", opt=needs(Action.WARM), responses=problems(404), tags=["warms"])
async def cancel_warm(request: TheRequest, number: FromPath[int], parts: TheParts) -> None:
    """End a warm if it runs; what is fetched stays, and downloads that run come to their end."""
    _find(number, parts)
    with recorded(parts, request, "cancel warm") as detail:
        detail["warm"] = number
        parts.warms.cancel(number)


HANDLERS = [order_warm, list_warms, get_warm, cancel_warm]


def _find(number: int, parts: Parts) -> engine.Warm:
    warm = parts.warms.find(number)
    if warm is None:
        raise NotHere(f"there is no warm {number}, or no more")
    return warm


def _show(warm: engine.Warm, parts: Parts, kind: type[W], **details: Any) -> W:
    progress = parts.warms.progress(warm) or WarmProgress(warm.size, warm.here, [], 0.0)
    return kind(
        id=warm.number,
        origin=warm.origin,
        state=warm.state,
        platforms=[str(platform) for platform in warm.extent.platforms],
        referrers=warm.extent.referrers,
        only_signed=warm.extent.only_signed,
        begun_at=moment(warm.begun_at),
        ended_at=None if warm.ended_at is None else moment(warm.ended_at),
        images=warm.images,
        warmed=warm.warmed,
        failed=warm.failed,
        unsigned=warm.unsigned,
        size=progress.size,
        done=progress.done,
        current=progress.current,
        paused_seconds=round(progress.rests, 3),
        **details,
    )


def _wanted(text: str, number: int, table: UpstreamTable) -> Wanted:
    try:
        wanted = locate(parse_image(text), table)
    except InvalidImage as invalid:
        raise Malformed(
            Fault(f"expected {forms.WORDS[forms.IMAGE]}: {invalid}", f"images[{number}]")
        ) from invalid
    if isinstance(wanted, NameInvalid):
        raise Malformed(Fault(f"no repository can be called {wanted.name!r}", f"images[{number}]"))
    return wanted


def _platform(text: str, number: int) -> Platform:
    try:
        return parse_platform(text)
    except InvalidPlatform as invalid:
        raise Malformed(Fault(f"{invalid}, {found(text)}", f"platforms[{number}]")) from invalid
