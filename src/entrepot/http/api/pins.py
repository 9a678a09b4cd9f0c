"""Pins: what neither expires nor is evicted, by the configuration or by an administrator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import urlencode

import msgspec
from litestar import Response, delete, get, post
from litestar.datastructures import ResponseHeader
from litestar.exceptions import HTTPException
from litestar.openapi import ResponseSpec
from litestar.params import FromQuery, JSONBody, QueryParameter
from msgspec import Meta, Struct

from entrepot.errors import NotHere
from entrepot.http.api.actions import recorded
from entrepot.http.api.etags import IfMatch, check_match
from entrepot.http.api.faults import Fault, found
from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.names import moment
from entrepot.http.api.paging import PAGE_HEADERS, SearchText, ThePaging, TheRequest, arranged, cut
from entrepot.http.api.parameters import Malformed
from entrepot.http.api.parts import Parts
from entrepot.http.api.problems import problems
from entrepot.oci.digest import Digest
from entrepot.policy.permission import Action
from entrepot.policy.retention import InvalidPin, likely_pin
from entrepot.policy.retention import Pin as Pattern
from entrepot.policy.spelling import did_you_mean

__all__ = ["HANDLERS"]

Sort = Literal["upstream", "-upstream", "pattern", "-pattern", "created_at", "-created_at"]
Source = Literal["configuration", "administrator"]
_LOCATION = ResponseHeader(
    name="Location", description="Where this pin is listed and removed.", documentation_only=True
)
_UPSTREAM = QueryParameter(max_length=300, description="Of this upstream.")
_FORM = "repository or repository:tag, as library/postgres:16*"
_PATTERN = QueryParameter(max_length=600, description="Of just this pattern.")


class NewPin(Struct, forbid_unknown_fields=True):
    """`pattern` is of repositories, or `repository:tag`, as `library/postgres:16*`: shell patterns.

    Names are as the upstream has them, without its own: Docker Hub's `postgres` is `library/postgres`.
    """

    upstream: Annotated[str, Meta(min_length=1, max_length=300, extra={"words": "an upstream, as docker.io"})]
    pattern: Annotated[str, Meta(min_length=1, max_length=600, extra={"words": f"a {_FORM}"})]


class Pin(Struct):
    """`source` tells where to remove it: here, or from `retention.pin`; `created_at`: if it was set here."""

    upstream: str
    pattern: str
    source: Source
    created_at: datetime | None


@get("/pins", opt=needs(Action.SEE), responses=problems(), response_headers=PAGE_HEADERS, tags=["pins"])
async def list_pins(
    request: TheRequest,
    paging: ThePaging,
    parts: TheParts,
    *,
    upstream: Annotated[str | None, _UPSTREAM] = None,
    pattern: Annotated[str | None, _PATTERN] = None,
    search: SearchText = "",
    sort: FromQuery[Sort] = "upstream",
) -> Response[list[Pin]]:
    """List the pins of the configuration and those that were set while the cache ran.

    The ETag of those of one `upstream` and `pattern`, given as `If-Match`, removes them as they were seen.
    """
    matching = [pin for pin in _listed(parts, upstream, pattern) if search in pin.pattern]
    reply = cut(request, paging, arranged(matching, sort, "upstream", "pattern", "source"))
    reply.headers["ETag"] = f'"{_version(matching)}"'
    return reply


@post(
    "/pins",
    opt=needs(Action.PIN),
    responses=problems() | {200: ResponseSpec(Pin, description="It was there already.")},
    response_headers=[_LOCATION],
    tags=["pins"],
)
async def set_pin(request: TheRequest, data: JSONBody[NewPin], parts: TheParts) -> Response[Pin]:
    """Protect content from eviction and expiry at once, and until the pin is removed.

    It protects what is here and what is pulled later; it fetches nothing.
    """
    pattern, now = _read(data, parts), parts.clock.now()
    with recorded(parts, request, "pin", upstream=data.upstream) as detail:
        detail["pattern"] = str(pattern)
        is_new = await parts.pins.set_pin(data.upstream, pattern, now)
        detail["new"] = is_new
    known = (one for one in _set_here(parts) if (one.upstream, one.pattern) == (data.upstream, str(pattern)))
    pin = next(known, Pin(data.upstream, str(pattern), "administrator", moment(now)))
    query = urlencode({"upstream": pin.upstream, "pattern": pin.pattern})
    headers = {"Location": f"{request.url.path.rstrip('/')}?{query}"}
    return Response(pin, headers=headers, status_code=HTTPStatus.CREATED if is_new else HTTPStatus.OK)


@delete("/pins", opt=needs(Action.PIN), responses=problems(404, 409, 412), tags=["pins"])
async def remove_pin(
    request: TheRequest,
    upstream: Annotated[str, _UPSTREAM],
    pattern: Annotated[str, _PATTERN],
    parts: TheParts,
    if_match: IfMatch = None,
) -> None:
    """Remove a pin that was set here: what only it protected may go from now on."""
    if if_match is not None:
        check_match(if_match, _version(_listed(parts, upstream, pattern)))
    with recorded(parts, request, "unpin", upstream=upstream) as detail:
        detail["pattern"] = pattern
        if await _remove(upstream, pattern, parts):
            return
        if any((pin.upstream, pin.pattern) == (upstream, pattern) for pin in _configured(parts)):
            raise HTTPException(
                f"{pattern} is pinned by the configuration: remove it from retention.pin of upstream"
                f" {upstream} there, then send SIGHUP",
                status_code=HTTPStatus.CONFLICT,
            )
        raise NotHere(f"upstream {upstream} has no pin {pattern}")


HANDLERS = [list_pins, set_pin, remove_pin]


def _listed(parts: Parts, upstream: str | None, pattern: str | None) -> list[Pin]:
    return [
        pin
        for pin in (*_configured(parts), *_set_here(parts))
        if upstream in (None, pin.upstream) and pattern in (None, pin.pattern)
    ]


def _version(pins: list[Pin]) -> str:
    return str(Digest.of(msgspec.json.encode(pins)))


def _configured(parts: Parts) -> Iterator[Pin]:
    for upstream, rules in parts.sites.retention().items():
        for pattern in dict.fromkeys(rules.pins):
            yield Pin(upstream, str(pattern), "configuration", None)


def _set_here(parts: Parts) -> Iterator[Pin]:
    for known in parts.pins.pins():
        yield Pin(known.upstream, str(known.pin), "administrator", moment(known.created_at))


async def _remove(upstream: str, text: str, parts: Parts) -> bool:
    try:
        pattern = Pattern.parse(text)
    except InvalidPin:
        return False
    return await parts.pins.remove_pin(upstream, pattern)


def _read(wanted: NewPin, parts: Parts) -> Pattern:
    upstreams = parts.sites.names()
    if wanted.upstream not in upstreams:
        hint = did_you_mean(wanted.upstream, upstreams)
        raise Malformed(
            Fault(f"expected one of {', '.join(upstreams)}, {found(wanted.upstream)}{hint}", "upstream")
        )
    try:
        pattern = Pattern.parse(wanted.pattern)
    except InvalidPin as invalid:
        raise Malformed(Fault(f"expected a {_FORM}, {found(wanted.pattern)}", "pattern")) from invalid
    if (meant := likely_pin(wanted.upstream, pattern)) != pattern:
        reason = f"no repository of {wanted.upstream} has such a name: expected {meant}"
        raise Malformed(Fault(f"{reason}, {found(wanted.pattern)}", "pattern"))
    return pattern
