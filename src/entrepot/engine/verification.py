"""Hashes a blob as it grows, so that its last byte is soon followed by the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from entrepot.oci.digest import Digest
from entrepot.ports.blobs import Spool

__all__ = ["Growth", "names_prefix", "verify"]

_LEAST_STEP = 1 << 20
_STEP = 8 << 20

Growth = Callable[[], tuple[int, int | None]]
"""Tells how many bytes are here from the first on, and how many there will be, if that is known."""


async def verify(digest: Digest, spool: Spool, growth: Growth, changed: asyncio.Event) -> bool:
    """Tell, when all is here, whether it is what the digest says; ``changed`` is set when more is.

    Reads back what was written a moment ago, out of the page cache.  Raises ``StoreFailed``.
    """
    hasher, hashed = digest.hasher(), 0
    while True:
        here, size = growth()
        end = min(here, hashed + _STEP)
        if size is not None and hashed >= size:
            return bool(hasher.hexdigest() == digest.hex)
        if end - hashed < _LEAST_STEP and end != size:
            await changed.wait()
            continue
        await spool.feed(hasher, hashed, end)
        hashed = end


async def names_prefix(digest: Digest, spool: Spool, size: int) -> bool:
    """Tell whether the first ``size`` bytes are the whole blob."""
    hasher = digest.hasher()
    await spool.feed(hasher, 0, size)
    return bool(hasher.hexdigest() == digest.hex)
