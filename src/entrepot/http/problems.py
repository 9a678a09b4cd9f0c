"""Turns a failure into an answer: the only place that pairs the two."""

from __future__ import annotations

import math
from http import HTTPStatus

import msgspec

from entrepot.engine.revalidation import Cache
from entrepot.errors import (
    BlobNotHere,
    EntrepotError,
    ManifestNotHere,
    NotHere,
    RateLimited,
    Refused,
    RepositoryNotHere,
    UnknownUpstream,
    UpstreamDown,
    UpstreamLoops,
    UpstreamTimeout,
    WrongContent,
)
from entrepot.http.call import API_VERSION, Call
from entrepot.http.server.asgi import Headers
from entrepot.oci.codes import ErrorCode

__all__ = ["PROBLEMS", "reply_code", "reply_failure", "reply_loop"]

PROBLEMS: dict[type[EntrepotError], tuple[HTTPStatus, ErrorCode]] = {
    BlobNotHere: (HTTPStatus.NOT_FOUND, ErrorCode.BLOB_UNKNOWN),
    ManifestNotHere: (HTTPStatus.NOT_FOUND, ErrorCode.MANIFEST_UNKNOWN),
    RepositoryNotHere: (HTTPStatus.NOT_FOUND, ErrorCode.NAME_UNKNOWN),
    UnknownUpstream: (HTTPStatus.NOT_FOUND, ErrorCode.NAME_UNKNOWN),
    NotHere: (HTTPStatus.NOT_FOUND, ErrorCode.NAME_UNKNOWN),
    # Not 401: that would ask for a credential to this cache, which has nothing to do with it.
    Refused: (HTTPStatus.FORBIDDEN, ErrorCode.DENIED),
    RateLimited: (HTTPStatus.TOO_MANY_REQUESTS, ErrorCode.TOOMANYREQUESTS),
    WrongContent: (HTTPStatus.BAD_GATEWAY, ErrorCode.UNAVAILABLE),
    UpstreamLoops: (HTTPStatus.BAD_GATEWAY, ErrorCode.UNAVAILABLE),
    UpstreamTimeout: (HTTPStatus.GATEWAY_TIMEOUT, ErrorCode.UNAVAILABLE),
    UpstreamDown: (HTTPStatus.SERVICE_UNAVAILABLE, ErrorCode.UNAVAILABLE),
    EntrepotError: (HTTPStatus.INTERNAL_SERVER_ERROR, ErrorCode.UNKNOWN),
}


async def reply_failure(call: Call, failure: EntrepotError) -> None:
    """Answer with the row of the failure's nearest kind."""
    status, code = next(PROBLEMS[kind] for kind in type(failure).__mro__ if kind in PROBLEMS)
    headers: Headers = []
    if failure.is_remembered:
        call.cache = Cache.NEGATIVE
    if isinstance(failure, RateLimited | UpstreamDown) and failure.retry_after is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(failure.retry_after))).encode()))
    await _reply(call, status, code, str(failure), headers)


async def reply_code(call: Call, code: ErrorCode, detail: str, headers: Headers | None = None) -> None:
    """Answer with a code of the registry API and the status that it travels with."""
    await _reply(call, code.status, code, detail, headers or [])


async def reply_loop(call: Call) -> None:
    """Answer a request that this cache sent itself (RFC 5842, section 7.2)."""
    detail = "this cache is its own upstream: correct the endpoints in its configuration"
    await _reply(call, HTTPStatus.LOOP_DETECTED, ErrorCode.UNAVAILABLE, detail, [])


async def _reply(call: Call, status: HTTPStatus, code: ErrorCode, detail: str, headers: Headers) -> None:
    call.reason = detail
    envelope = {"errors": [{"code": code.name, "message": code.message, "detail": detail}]}
    fixed = [(b"content-type", b"application/json"), API_VERSION]
    await call.reply(status, [*fixed, *headers], msgspec.json.encode(envelope))
