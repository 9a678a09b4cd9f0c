"""Reads answers that are to be small, and no more of them than that."""

from __future__ import annotations

import asyncio

from entrepot.errors import UpstreamDown, UpstreamTimeout
from entrepot.upstream.transport import Response

__all__ = ["read_start", "read_whole"]

_DEADLINE = 60.0  # For a sender that drips: each piece is in time, the whole never comes.
_WORTH_READING = 64 << 10


async def read_whole(response: Response, limit: int, what: str) -> bytes:
    """Return the body; raise ``UpstreamDown`` beyond ``limit`` bytes and ``UpstreamTimeout`` after a minute.

    ``what`` is for the message: what the body is of.
    """
    content = await _read(response, limit, what)
    if len(content) > limit:
        raise UpstreamDown(f"{what} is larger than {limit >> 20} MiB, which nothing of the kind is")
    return content


async def read_start(response: Response) -> bytes:
    """Return the first 64 KiB of an answer that failed.

    As nearly all are shorter, this also frees the connection for use by others.
    """
    return await _read(response, _WORTH_READING, "an error")


async def _read(response: Response, limit: int, what: str) -> bytes:
    try:
        async with asyncio.timeout(_DEADLINE):
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
