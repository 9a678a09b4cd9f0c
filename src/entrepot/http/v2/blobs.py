"""GET and HEAD /v2/<name>/blobs/<digest>, whole and in ranges (RFC 9110, section 14)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from msgspec import Struct

from entrepot.engine.blobs import BlobAnswer, Blobs, FillingBlob, HeldBlob
from entrepot.engine.pieces import Piece
from entrepot.http.call import Call
from entrepot.http.problems import reply_code
from entrepot.http.server.asgi import Headers
from entrepot.http.v2.answers import base_headers, content_headers
from entrepot.oci.codes import ErrorCode
from entrepot.oci.conditional import etag_matches, range_applies
from entrepot.oci.digest import Digest
from entrepot.oci.range import ByteRange, Unsatisfiable, parse_range
from entrepot.oci.reference import Repository

__all__ = ["get_blob"]

_MEDIA_TYPE = "application/octet-stream"
_BOUNDARY = "entrepot-part-4c1d2f8e"


class _Whole(Struct, frozen=True):
    """A part that ends where the blob does."""

    start: int = 0
    stop: None = None


Part = bytes | ByteRange | _Whole
"""What a body is put together from: bytes as they are, or a stretch of the blob."""


async def get_blob(call: Call, repository: Repository, digest: Digest, blobs: Blobs) -> None:
    if_none_match = call.header(b"if-none-match")
    if if_none_match is not None and etag_matches(if_none_match, f'"{digest}"'):
        await blobs.size(repository, digest)
        await call.reply_not_modified(content_headers(call, digest, _MEDIA_TYPE))
    elif call.method == "HEAD":
        size = await blobs.size(repository, digest)
        await call.begin(200, _headers(call, digest, size))
        await call.end()
    elif (ranges := await _ranges(call, repository, digest, blobs)) is None:
        answer = await blobs.open(repository, digest)
        await _send(call, answer, 200, _headers(call, digest, answer.size), [_Whole()])
    elif isinstance(ranges, Unsatisfiable):
        headers = [(b"content-range", ranges.content_range().encode()), *base_headers(call)]
        await reply_code(call, ErrorCode.RANGE_INVALID, f"the blob has {ranges.size} bytes", headers)
    else:
        answer = await blobs.open(repository, digest, ranges[0].start, ranges[0].stop)
        await _send_ranges(call, answer, digest, ranges)


async def _ranges(
    call: Call, repository: Repository, digest: Digest, blobs: Blobs
) -> tuple[ByteRange, ...] | Unsatisfiable | None:
    """Return which ranges to send, ``None`` for the whole."""
    asked = call.header(b"range")
    if asked is None or not range_applies(call.header(b"if-range"), f'"{digest}"'):
        return None
    size = await blobs.size(repository, digest)
    return None if size is None else parse_range(asked, size)


async def _send_ranges(call: Call, answer: BlobAnswer, digest: Digest, ranges: Sequence[ByteRange]) -> None:
    size = answer.size or 0
    if len(ranges) == 1:
        headers = _headers(call, digest, len(ranges[0]))
        headers.append((b"content-range", ranges[0].content_range(size).encode()))
        await _send(call, answer, 206, headers, ranges)
        return
    parts = _multipart(ranges, size)
    multipart = (b"content-type", f"multipart/byteranges; boundary={_BOUNDARY}".encode())
    headers = [multipart, *_headers(call, digest, sum(map(len, parts)))[1:]]
    await _send(call, answer, 206, headers, parts)


async def _send(call: Call, answer: BlobAnswer, status: int, headers: Headers, parts: Sequence[Part]) -> None:
    call.cache = answer.cache
    try:
        match answer:
            case HeldBlob():
                await call.begin(status, headers)
                for part in parts:
                    await call.send(part if isinstance(part, bytes) else answer.span(part.start, part.stop))
            case FillingBlob():
                await _send_arriving(call, answer, status, headers, parts)
        await call.end()
    finally:
        await answer.close()


async def _send_arriving(
    call: Call, answer: FillingBlob, status: int, headers: Headers, parts: Sequence[Part]
) -> None:
    """Send what comes; a failure before the first byte is raised while the status can still tell of it."""
    async with aclosing(_arriving(answer, parts)) as pieces:
        first = await anext(pieces, b"")
        await call.begin(status, headers)
        if first:
            await call.send(first)
        async for piece in pieces:
            await call.send(piece)


async def _arriving(answer: FillingBlob, parts: Sequence[Part]) -> AsyncGenerator[Piece]:
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        async with aclosing(answer.pieces(part.start, part.stop)) as pieces:
            async for piece in pieces:
                yield piece


def _multipart(ranges: Sequence[ByteRange], size: int) -> list[bytes | ByteRange]:
    """Put a multipart/byteranges body together (RFC 9110, 14.6)."""
    parts: list[bytes | ByteRange] = []
    for part in ranges:
        head = (
            f"\r\n--{_BOUNDARY}\r\nContent-Type: {_MEDIA_TYPE}\r\nContent-Range: {part.content_range(size)}"
        )
        parts += [f"{head}\r\n\r\n".encode(), part]
    return [*parts, f"\r\n--{_BOUNDARY}--\r\n".encode()]


def _headers(call: Call, digest: Digest, length: int | None) -> Headers:
    headers = [*content_headers(call, digest, _MEDIA_TYPE), (b"accept-ranges", b"bytes")]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))
    return headers
