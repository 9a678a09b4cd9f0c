"""Failures as problem details (RFC 9457): what went wrong, of what kind, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.openapi import ResponseSpec
from msgspec import Struct

from entrepot.errors import (
    EntrepotError,
    MetadataFailed,
    NotHere,
    RateLimited,
    Refused,
    StoreFailed,
    UpstreamDown,
    UpstreamTimeout,
)
from entrepot.http.api.faults import Fault
from entrepot.http.api.parameters import Malformed, faults_of
from entrepot.http.api.prefix import PREFIX
from entrepot.http.server.asgi import ClientDisconnected
from entrepot.telemetry.log import log

__all__ = ["EXCEPTION_HANDLERS", "FAILURES", "Problem", "problems"]

_MEDIA_TYPE = "application/problem+json"
_PLAIN = "about:blank"
_PREFIX = "urn:entrepot:problem:"


class Problem(Struct, frozen=True):
    """`type` tells kinds apart that share a status; `detail` is for people."""

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[Fault] = []


class Unread(Struct, frozen=True):
    """What the server says of a request that it does not read to its end, be it for the API or for a pull."""

    errors: list[dict[str, str]]


# An upstream's refusal is no 401 or 403: those would be about the caller's own token.
FAILURES: dict[type[EntrepotError], tuple[HTTPStatus, str]] = {
    NotHere: (HTTPStatus.NOT_FOUND, "not-here"),
    Refused: (HTTPStatus.BAD_GATEWAY, "upstream-refused"),
    RateLimited: (HTTPStatus.SERVICE_UNAVAILABLE, "upstream-rate-limited"),
    UpstreamTimeout: (HTTPStatus.GATEWAY_TIMEOUT, "upstream-timeout"),
    UpstreamDown: (HTTPStatus.BAD_GATEWAY, "upstream-down"),
    MetadataFailed: (HTTPStatus.SERVICE_UNAVAILABLE, "metadata-failed"),
    StoreFailed: (HTTPStatus.SERVICE_UNAVAILABLE, "store-failed"),
    EntrepotError: (HTTPStatus.INTERNAL_SERVER_ERROR, "failed"),
}

_MEANINGS = {
    HTTPStatus.BAD_REQUEST: "The request is malformed; `errors` names what.",
    HTTPStatus.UNAUTHORIZED: "The token is missing or wrong.",
    HTTPStatus.FORBIDDEN: "The token may not do this.",
    HTTPStatus.NOT_FOUND: "There is no such thing here.",
    HTTPStatus.CONFLICT: "As things are it cannot be done; `detail` tells why.",
    HTTPStatus.PRECONDITION_FAILED: "It is not what `If-Match` says any more.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many wrong tokens were tried.",
    HTTPStatus.BAD_GATEWAY: "The upstream refused, or failed.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The upstream counts too many requests, or the cache's disk fails.",
    HTTPStatus.GATEWAY_TIMEOUT: "The upstream did not answer in time.",
}
_ALWAYS = (400, 401, 403, 429, 503)
_UNREAD = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than the server takes.",
    HTTPStatus.REQUEST_URI_TOO_LONG: "The path and its parameters are longer than the server takes.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The headers are larger than the server takes.",
}
UPSTREAM = (502, 504)


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Document the problems that a handler may answer with, beyond those that all may."""
    unread = {
        int(status): ResponseSpec(Unread, description=meaning, generate_examples=False)
        for status, meaning in _UNREAD.items()
    }
    return unread | {
        status: ResponseSpec(
            Problem,
            description=_MEANINGS[HTTPStatus(status)],
            media_type=_MEDIA_TYPE,
            generate_examples=False,
        )
        for status in (*_ALWAYS, *statuses)
    }


def _reply_failure(_request: Request[Any, Any, Any], failure: EntrepotError) -> Response[Problem]:
    status, kind = next(FAILURES[kind] for kind in type(failure).__mro__ if kind in FAILURES)
    headers = {}
    if isinstance(failure, RateLimited | UpstreamDown) and failure.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(failure.retry_after)))
    return _reply(Problem(_PREFIX + kind, status.phrase, status, str(failure)), headers)


def _reply_refusal(request: Request[Any, Any, Any], refusal: HTTPException) -> Response[Problem]:
    status = HTTPStatus(refusal.status_code)
    is_ours = status != HTTPStatus.BAD_REQUEST or isinstance(refusal, Malformed)
    if not is_ours and (faults := list(faults_of(request))):
        refusal = Malformed(*faults)
    detail = refusal.detail if refusal.detail != status.phrase else _detail(request, status)
    problem = Problem(_PLAIN, status.phrase, status, detail, _faults(refusal.extra))
    return _reply(problem, refusal.headers or {})


def _reply_error(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Be the outermost frame of a handler: the log is told what it was, the caller that it was."""
    log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return _reply(
        Problem(_PLAIN, status.phrase, status, "this is a fault of Entrepot; its log tells more"), {}
    )


def _say_nothing(_request: Request[Any, Any, Any], gone: ClientDisconnected) -> Response[Problem]:
    """Leave it to the server, which knows whether there is anybody to tell, and what."""
    raise gone


def _detail(request: Request[Any, Any, Any], status: HTTPStatus) -> str | None:
    """Say what the framework does not, where it knows no such path or no such method of it."""
    match status:
        case HTTPStatus.NOT_FOUND:
            return f"nothing is at {request.url.path}: {PREFIX}/docs tells what there is"
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return f"{request.method} is not for {request.url.path}: {PREFIX}/docs tells what is"
        case _:
            return None


def _faults(extra: Any) -> list[Fault]:
    found = extra if isinstance(extra, list) else []
    return [Fault(str(fault["message"]), fault.get("key")) for fault in found if "message" in fault]


def _reply(problem: Problem, headers: dict[str, str]) -> Response[Problem]:
    return Response(problem, status_code=problem.status, media_type=_MEDIA_TYPE, headers=headers)


EXCEPTION_HANDLERS: dict[int | type[Exception], Callable[[Request[Any, Any, Any], Any], Response[Any]]] = {
    EntrepotError: _reply_failure,
    HTTPException: _reply_refusal,
    ClientDisconnected: _say_nothing,
    Exception: _reply_error,
}
