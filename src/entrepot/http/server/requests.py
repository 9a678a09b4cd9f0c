"""Bytes in, requests out: one at a time, and within the limits."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools

from entrepot.http.server.asgi import Headers
from entrepot.http.server.at_hand import HeldAnswer
from entrepot.http.server.limits import Limits
from entrepot.http.server.messages import Refusal, parse_target

__all__ = ["KnownHeads", "Request", "RequestReader"]

_BLANK_LINE = b"\r\n\r\n"
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
_KNOWN_HEADS = 1024
_KNOWN_HEAD_BYTES = 2 << 10


class Request:
    """A request whose head has arrived.

    ``fields`` are those of an ASGI scope.  ``body`` holds what nobody has taken yet.  One that
    ``came_again`` stands for all that are alike, byte for byte; ``held`` is the answer to them, if any.
    """

    __slots__ = ("body", "came_again", "complete", "expects_continue", "fields", "held", "keep_alive")

    def __init__(self, fields: dict[str, Any], *, keep_alive: bool) -> None:
        self.fields = fields
        self.keep_alive = keep_alive
        self.complete = False
        self.expects_continue = False
        self.body: bytearray | None = None
        self.came_again = False
        self.held: HeldAnswer | None = None


class KnownHeads:
    """Requests without a body, by their bytes.

    The nodes of a fleet ask alike, byte for byte, and again and again: such a head is parsed
    once, and as nothing of it is still to come, its request serves all who send it.  Bounded
    by forgetting everything now and then.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Request] = {}
        self.find = self._known.get

    def remember(self, head: bytes, request: Request) -> None:
        """Keep a head, unless it is long, holds a credential or has a body.

        One that came with others may be known already, and its answer held.
        """
        names = [name for name, _ in request.fields["headers"]]
        if len(head) > _KNOWN_HEAD_BYTES or b"authorization" in names or request.body or head in self._known:
            return
        if len(self._known) >= _KNOWN_HEADS:
            self._known.clear()
        self._known[head] = request


class RequestReader:
    """Feeds llhttp in pieces that end where a request may end.

    So the bytes behind a request stay raw until it is answered, and a client that
    sends many at once costs no more memory than its bytes.  ``body_left`` is what is still
    to come of a body whose length is known.
    """

    def __init__(self, limits: Limits, known: KnownHeads) -> None:
        self._limits = limits
        self._known = known
        self._parser: Any = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: Headers = []
        self._tail = b""
        self._budget = limits.head_bytes
        self._discards = False
        self.body_left = 0
        self.in_head = False
        self.request: Request | None = None

    @property
    def unread(self) -> int:
        """Bytes of the body that wait for the application."""
        return len(self.request.body) if self.request and self.request.body else 0

    def feed(self, data: bytes, start: int) -> int:
        """Parse a piece of ``data``; return where it ends.  Raises ``Refusal``.

        ``request`` is set once a head is whole and stays, ``complete`` or not, until ``forget()``.
        """
        fresh = not self._tail
        stop = min(self._piece_end(data, start), start + self._budget)
        piece = data[start:stop]
        self._budget -= len(piece)
        if self.body_left:
            self.body_left -= len(piece)
        self._execute(piece)
        if self.request is None or not self.request.complete:
            self._tail = (self._tail + piece)[-3:]
            if self._budget <= 0:
                raise self._too_large()
        elif fresh:
            self._known.remember(piece, self.request)
        return stop

    def forget(self) -> None:
        """Make ready for the next request."""
        self.request = None
        self._discards = False
        self._tail = b""
        self._budget = self._limits.head_bytes

    def discard(self) -> None:
        """Throw away what is still to come of the body, and what has come of it."""
        self._discards = True
        self._budget = min(self._budget, self._limits.drain_bytes)
        if self.request is not None:
            self.request.body = None

    def close(self) -> None:
        """Break the circle of parser and reader, so that nothing waits for the garbage collector."""
        self._parser = None

    def _piece_end(self, data: bytes, start: int) -> int:
        if self.body_left:
            return min(start + self.body_left, len(data))
        if self._tail:
            joint = (self._tail + data[start : start + 3]).find(_BLANK_LINE)
            if joint >= 0:
                return start + joint + len(_BLANK_LINE) - len(self._tail)
        found = data.find(_BLANK_LINE, start)
        return found + len(_BLANK_LINE) if found >= 0 else len(data)

    def _execute(self, piece: bytes) -> None:
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass  # Answered as plain HTTP; what follows is never read, see on_headers_complete.
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, Refusal):
                raise error.__context__ from None
            raise
        except httptools.HttpParserError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"malformed request: {error}") from error

    def _too_large(self) -> Refusal:
        if self.request is None:
            return Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too large")
        return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request's body is too large")

    # What llhttp calls.

    def on_message_begin(self) -> None:
        if self.request is not None:
            raise Refusal(HTTPStatus.BAD_REQUEST, "malformed request: it does not end where it says")
        self.in_head = True
        self._target = b""
        self._headers = []

    def on_url(self, part: bytes) -> None:
        self._target += part
        if len(self._target) > self._limits.target_bytes:
            raise Refusal(HTTPStatus.REQUEST_URI_TOO_LONG, "the request target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:  # Trailers are passed over.
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.in_head = False
        if len(self._headers) > self._limits.headers:
            raise Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request has too many headers")
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        upgrades = self._parser.should_upgrade()
        fields = self._read_target(version)
        request = Request(fields, keep_alive=self._parser.should_keep_alive() and not upgrades)
        if not upgrades:
            self._read_framing(request, version)
        self.request = request
        self._budget = self._limits.body_bytes

    def on_body(self, part: bytes) -> None:
        request = self.request
        if request is None or self._discards:
            return
        if request.body is None:
            request.body = bytearray()
        request.body += part

    def on_message_complete(self) -> None:
        if self.request is not None:
            self.request.complete = True

    def _read_target(self, version: str) -> dict[str, Any]:
        method = self._parser.get_method().decode("ascii")
        authority, path, query = parse_target(self._target, method)
        self._check_host(version, authority)
        text = path.decode("latin-1")
        return {
            "http_version": version,
            "method": method,
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "headers": self._headers,
        }

    def _check_host(self, version: str, authority: bytes | None) -> None:
        """RFC 9112, 3.2: exactly one valid Host, which the authority of an absolute target overrules."""
        hosts = [value for name, value in self._headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            raise Refusal(HTTPStatus.BAD_REQUEST, "the request needs exactly one Host header")
        if authority is not None:
            hosts.append(authority)
            self._headers[:] = [pair for pair in self._headers if pair[0] != b"host"]
            self._headers.append((b"host", authority))
        if not all(_HOST.fullmatch(host) for host in hosts):
            raise Refusal(HTTPStatus.BAD_REQUEST, "the Host header is malformed")

    def _read_framing(self, request: Request, version: str) -> None:
        """Refuse what llhttp tolerates; what contradicts itself it has refused already."""
        for name, value in self._headers:
            if name == b"content-length":
                self.body_left = int(value)
            elif name == b"transfer-encoding" and (version == "1.0" or value.lower() != b"chunked"):
                raise Refusal(HTTPStatus.BAD_REQUEST, "the only transfer coding spoken here is chunked")
            elif name == b"expect" and version == "1.1":
                request.expects_continue = value.lower() == b"100-continue"
