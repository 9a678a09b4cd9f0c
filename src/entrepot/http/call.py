"""One request and its answer, as the handlers see them: a thin skin over ASGI."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl

from msgspec import Struct

from entrepot.engine.pieces import Piece, Span
from entrepot.http.server.asgi import AtHand, Headers, Message, Scope, Send
from entrepot.oci.reference import Repository

__all__ = ["API_VERSION", "Again", "Call"]

API_VERSION = (b"docker-distribution-api-version", b"registry/2.0")


class Again(Struct, frozen=True):
    """A body that was sent whole, and whether the same answer may be given once more, now."""

    body: bytes
    holds: Callable[[], bool]


class Call:
    """What is learnt on the way (``repository``, ``cache``, ``reason``) is there for the log afterwards."""

    __slots__ = (
        "_headers",
        "_query",
        "_send",
        "again",
        "cache",
        "digest",
        "kind",
        "method",
        "reason",
        "reference",
        "repository",
        "scope",
        "sent_bytes",
        "status",
        "user",
    )

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.kind = "other"
        self.repository: Repository | None = None
        self.reference: str | None = None
        self.digest: str | None = None
        """The content that the reference means."""
        self.user: str | None = None
        self.cache: str | None = None
        self.reason: str | None = None
        """Why the answer is an error, or broke off."""
        self.status = 0
        """The status that was sent; 0 before any was."""
        self.sent_bytes = 0
        self.again: Again | None = None
        """How the same is to be answered from now on."""
        self._send = send
        self._headers: dict[bytes, bytes] | None = None
        self._query: dict[str, str] | None = None

    def header(self, name: bytes) -> str | None:
        """Return a header by its lower-case name; several lines of it are joined (RFC 9110, 5.3)."""
        if self._headers is None:
            self._headers = _joined(self.scope["headers"])
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    def query(self, name: str) -> str | None:
        raw: bytes = self.scope["query_string"]
        if not raw:
            return None
        if self._query is None:
            self._query = dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True))
        return self._query.get(name)

    async def reply(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """Answer with a body that is at hand; a HEAD gets its length and not its bytes."""
        await self.begin(status, [*headers, (b"content-length", str(len(body)).encode())])
        if self.method != "HEAD":
            self.sent_bytes += len(body)
        await self._send({"type": "http.response.body", "body": body})

    async def reply_not_modified(self, headers: Headers) -> None:
        """Answer 304: the client holds what it would get."""
        await self.begin(304, headers)
        await self.end()

    async def begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, piece: Piece, *, more: bool = True) -> None:
        """Send a part of the body: bytes, or a stretch of a file that the kernel copies."""
        if isinstance(piece, Span):
            count = piece.stop - piece.start
            message: Message = {
                "type": "http.response.zerocopysend",
                "file": piece.file,
                "offset": piece.start,
                "count": count,
                "more_body": more,
            }
            try:
                await self._send(message)
            except BaseException:
                self.sent_bytes += message.get("sent", 0)
                raise
            self.sent_bytes += count
        else:
            await self._send({"type": "http.response.body", "body": piece, "more_body": more})
            self.sent_bytes += len(piece)

    async def pass_on(self, message: Message) -> None:
        """Send an event of an answer that another application gives."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif self.method != "HEAD":
            self.sent_bytes += len(message.get("body", b""))
        await self._send(message)

    async def offer(self, body: bytes, answer: AtHand) -> None:
        """Let the server give the same answer, with this body, by itself."""
        await self._send({"type": "entrepot.at_hand", "body": body, "answer": answer})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})


def _joined(headers: Headers) -> dict[bytes, bytes]:
    found = dict(headers)
    if len(found) < len(headers):
        for name in found:
            found[name] = b", ".join(value for key, value in headers if key == name)
    return found
