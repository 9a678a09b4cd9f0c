"""Reads answers that are to be small, and no more of them than that."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from entrepot.errors import UpstreamDown, UpstreamTimeout
from entrepot.upstream.deadline import deadline
from entrepot.upstream.transport import Response

__all__ = ["is_zipped", "read_start", "read_whole"]

_DEADLINE = 60.0  # For a sender that drips: each piece is in time, the whole never comes.
_WORTH_READING = 64 << 10
_GZIP = 16 + zlib.MAX_WBITS


async def read_whole(response: Response, limit: int, what: str) -> bytes:
    """Return the body; raise ``UpstreamDown`` beyond ``limit`` bytes and ``UpstreamTimeout`` after a minute.

    ``what`` is for the message: what the body is of.  gzip is undone, which some servers put upon
    whatever is text, though nobody asked for it.
    """
    content = await _read(response, limit, what)
    if is_zipped(response.headers):
        content = _unzipped(content, limit, what)
    if len(content) > limit:
        raise UpstreamDown(f"{what} is larger than {limit >> 20} MiB, which nothing of the kind is")
    return content


def is_zipped(headers: Mapping[str, str]) -> bool:
    return headers.get("content-encoding", "").strip().lower() in {"gzip", "x-gzip"}


async def read_start(response: Response) -> bytes:
    """Return the first 64 KiB of an answer that failed.

    As nearly all are shorter, this also frees the connection for use by others.
    """
    return await _read(response, _WORTH_READING, "an error")


async def _read(response: Response, limit: int, what: str) -> bytes:
    try:
        async with deadline(_DEADLINE):
            return await _until_beyond(response, limit)
    except TimeoutError as error:
        raise UpstreamTimeout(f"{what} did not arrive within {_DEADLINE:g} s") from error


async def _until_beyond(response: Response, limit: int) -> bytes:
    """Read until the end or beyond ``limit``, whichever comes first."""
    content = bytearray()
    async for chunk in response.chunks():
        content += chunk
        if len(content) > limit:
            break
    return bytes(content)


def _unzipped(content: bytes, limit: int, what: str) -> bytes:
    """Return what is in ``content``, one byte more than ``limit`` at most; what is no gzip is as it is."""
    unzip = zlib.decompressobj(_GZIP)
    try:
        whole = unzip.decompress(content, limit + 1)
    except zlib.error:
        return content  # Some servers say so of what they send as it is.
    if not unzip.eof and len(whole) <= limit:
        raise UpstreamDown(f"{what} ended in the midst of its gzip encoding")
    return whole
