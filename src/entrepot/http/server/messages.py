"""HTTP messages as bytes and values: targets read, heads written.  No I/O."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from entrepot.http.server.asgi import ResponseInvalid
from entrepot.oci.codes import ErrorCode

__all__ = ["Refusal", "ResponseHead", "Target", "parse_target", "render_fields", "render_refusal"]

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode("ascii") for status in HTTPStatus
}
_FRAMING = frozenset(
    (b"connection", b"content-length", b"date", b"keep-alive", b"server", b"transfer-encoding", b"upgrade")
)
_ABSOLUTE_FORM = re.compile(rb"https?://([^/?#]+)([^#]*)", re.IGNORECASE)
_CODES = {
    HTTPStatus.REQUEST_TIMEOUT: ErrorCode.UNKNOWN,
    HTTPStatus.SERVICE_UNAVAILABLE: ErrorCode.TOOMANYREQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR: ErrorCode.UNKNOWN,
}


class Refusal(Exception):
    """A request that the server answers by itself, before or instead of the application."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Target(NamedTuple):
    """``authority`` is ``None`` but for the absolute form, where it replaces the Host header."""

    authority: bytes | None
    path: bytes
    query: bytes


class ResponseHead(NamedTuple):
    """``block``: the status line and the application's fields, without the last line's end."""

    block: bytes
    content_length: int | None
    closes: bool


def parse_target(target: bytes, method: str) -> Target:
    """Read a request target (RFC 9112, 3.2); raise ``Refusal`` for one that names no resource."""
    if target[:1] == b"/" or (target == b"*" and method == "OPTIONS"):
        authority, rest = None, target
    elif match := _ABSOLUTE_FORM.fullmatch(target):
        authority, rest = match[1].rpartition(b"@")[2], match[2]
        if rest[:1] != b"/":
            rest = b"/" + rest
    else:
        raise Refusal(HTTPStatus.BAD_REQUEST, "the request target is neither a path nor a URL")
    if b"#" in rest:
        raise Refusal(HTTPStatus.BAD_REQUEST, "the request target holds a fragment")
    path, _, query = rest.partition(b"?")
    return Target(authority, path, query)


@lru_cache(maxsize=1024)
def render_fields(status: int, headers: tuple[tuple[bytes, ...], ...]) -> ResponseHead:
    """Write an application's head; remembered, as what is asked again and again is answered alike.

    Framing is the server's: of ``connection`` only ``close`` is heard, and ``transfer-encoding``
    is dropped.  Raises ``ResponseInvalid`` for what cannot be sent, above all for line breaks
    in names and values.
    """
    if not 200 <= status <= 999:
        raise ResponseInvalid(f"status {status} is no final status")
    lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status]
    content_length, closes = None, False
    for name, value in headers:
        if (lowered := name.lower()) not in _FRAMING:
            lines.append(b"%b: %b" % (name, value))
        elif lowered == b"content-length":
            if content_length is not None or not value.isdigit():
                raise ResponseInvalid(f"content-length {value!r} is not one number")
            content_length = int(value)
            if status != HTTPStatus.NO_CONTENT:
                lines.append(b"content-length: " + value)
        elif lowered == b"connection" and value.strip().lower() == b"close":
            closes = True
    block = b"\r\n".join(lines)
    if not block.count(b"\n") == block.count(b"\r") == len(lines) - 1 or b"\0" in block:
        raise ResponseInvalid("a header holds a line break or a NUL")
    return ResponseHead(block, content_length, closes)


def render_refusal(refusal: Refusal, signature: bytes, *, with_body: bool = True) -> bytes:
    """Write a last answer in the envelope of the distribution-spec ("Error Codes").

    ``signature``: the server's own headers and the end of the head.
    """
    code = _CODES.get(refusal.status, ErrorCode.UNSUPPORTED)
    body = json.dumps({"errors": [{"code": code.name, "message": refusal.message}]}).encode()
    retry = b"\r\nretry-after: 1" if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE else b""
    framing = b"\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close" % len(body)
    head = _STATUS_LINES[refusal.status] + framing + retry + signature
    return head + body if with_body else head
