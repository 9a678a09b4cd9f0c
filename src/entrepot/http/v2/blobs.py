"""GET and HEAD /v2/<name>/blobs/<digest>, whole and in ranges (RFC 9110, section 14)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from secrets import token_hex

from msgspec import Struct

from entrepot.engine.blobs import BlobAnswer, Blobs, FillingBlob
from entrepot.engine.pieces import Piece
from entrepot.errors import WrongContent
from entrepot.http.call import Call
from entrepot.http.problems import reply_code
from entrepot.http.server.asgi import Headers
from entrepot.http.v2.answers import content_headers, namespace_headers
from entrepot.oci.codes import ErrorCode
from entrepot.oci.conditional import etag_matches, range_applies
from entrepot.oci.digest import Digest
from entrepot.oci.range import ByteRange, Unsatisfiable, parse_range
from entrepot.oci.reference import Repository

__all__ = ["get_blob"]

_MEDIA_TYPE = "application/octet-stream"


class _Whole(Struct, frozen=True):
    """A part that ends where the blob does."""

    start: int = 0
    stop: None = None


Part = bytes | ByteRange | _Whole
"""What a body is put together from: bytes as they are, or a stretch of the blob."""

_WHOLE = (_Whole(),)

Head = Callable[[], tuple[int, Headers]]
"""Tells status and headers, when it is known that an answer can be given."""


async def get_blob(call: Call, repository: Repository, digest: Digest, blobs: Blobs) -> None:
    if_none_match = call.header(b"if-none-match")
    if if_none_match is not None and etag_matches(if_none_match, f'"{digest}"'):
        await blobs.size(repository, digest)
        await call.reply_not_modified(content_headers(call, digest, _MEDIA_TYPE))
    elif call.method == "HEAD":
        size = await blobs.size(repository, digest)
        await call.begin(200, _headers(call, digest, size))
        await call.end()
    elif call.header(b"range") is not None and range_applies(call.header(b"if-range"), f'"{digest}"'):
        await _get_ranges(call, repository, digest, blobs)
    else:
        await _get_whole(call, repository, digest, blobs)


async def _get_whole(call: Call, repository: Repository, digest: Digest, blobs: Blobs) -> None:
    answer = await blobs.open(repository, digest)
    await _send(call, answer, _WHOLE, lambda: (200, _headers(call, digest, answer.size)))


async def _get_ranges(call: Call, repository: Repository, digest: Digest, blobs: Blobs) -> None:
    size = await blobs.expected_size(repository, digest)
    ranges = None if size is None else parse_range(call.header(b"range") or "", size)
    if size is None or ranges is None:
        await _get_whole(call, repository, digest, blobs)
    elif isinstance(ranges, Unsatisfiable):
        headers = [(b"content-range", ranges.content_range().encode()), *namespace_headers(call)]
        await reply_code(call, ErrorCode.RANGE_INVALID, f"the blob has {size} bytes", headers)
    else:
        answer = await blobs.open(repository, digest, ranges[0].start, ranges[0].stop)
        if answer.size not in (None, size):
            answer.close()
            raise WrongContent(f"{digest} was said to have {size} bytes and has {answer.size}")
        parts, headers = _frame_ranges(call, digest, ranges, size)
        await _send(call, answer, parts, lambda: (206, headers))


def _frame_ranges(
    call: Call, digest: Digest, ranges: Sequence[ByteRange], size: int
) -> tuple[Sequence[Part], Headers]:
    if len(ranges) == 1:
        headers = _headers(call, digest, len(ranges[0]))
        return ranges, [*headers, (b"content-range", ranges[0].content_range(size).encode())]
    # Not to be guessed by whoever made the blob: it would let them end a part where they like.
    boundary = token_hex(16)
    parts = _multipart(ranges, size, boundary)
    headers = _headers(call, digest, sum(map(len, parts)))
    return parts, [(b"content-type", f"multipart/byteranges; boundary={boundary}".encode()), *headers[1:]]


async def _send(call: Call, answer: BlobAnswer, parts: Sequence[Part], head: Head) -> None:
    call.cache = answer.cache
    try:
        if isinstance(answer, FillingBlob):
            await _send_arriving(call, answer, parts, head)
            return
        await call.begin(*head())
        for part in parts:
            piece = part if isinstance(part, bytes) else answer.span(part.start, part.stop)
            await call.send(piece, more=part is not parts[-1])
    finally:
        answer.close()


async def _send_arriving(call: Call, answer: FillingBlob, parts: Sequence[Part], head: Head) -> None:
    """Send what comes; a failure before the first byte is raised while the status can still tell of it."""
    async with aclosing(_arriving(answer, parts)) as pieces:
        first = await anext(pieces, b"")
        await call.begin(*head())
        if first:
            await call.send(first)
        async for piece in pieces:
            await call.send(piece)
    await call.end()


async def _arriving(answer: FillingBlob, parts: Sequence[Part]) -> AsyncGenerator[Piece]:
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        async with aclosing(answer.pieces(part.start, part.stop)) as pieces:
            async for piece in pieces:
                yield piece


def _multipart(ranges: Sequence[ByteRange], size: int, boundary: str) -> list[bytes | ByteRange]:
    """Put a multipart/byteranges body together (RFC 9110, 14.6)."""
    parts: list[bytes | ByteRange] = []
    for part in ranges:
        head = f"Content-Type: {_MEDIA_TYPE}\r\nContent-Range: {part.content_range(size)}"
        parts += [f"\r\n--{boundary}\r\n{head}\r\n\r\n".encode(), part]
    return [*parts, f"\r\n--{boundary}--\r\n".encode()]


def _headers(call: Call, digest: Digest, length: int | None) -> Headers:
    headers = [*content_headers(call, digest, _MEDIA_TYPE), (b"accept-ranges", b"bytes")]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    return headers
