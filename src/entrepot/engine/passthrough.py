"""A blob handed on as it comes, kept nowhere: for when the disk has no room."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from entrepot.errors import DiskFull, WrongContent
from entrepot.oci.digest import Digest
from entrepot.ports.upstream import Inflow

__all__ = ["NoSpool", "checked"]


class NoSpool:
    """Stands for a spool that could not be opened: it holds nothing and takes nothing."""

    present: Sequence[tuple[int, int]] = ()

    def fileno(self) -> int:
        raise DiskFull("there is no spool to read from")

    async def write(self, offset: int, chunk: bytes) -> None:
        raise DiskFull(f"there is no spool to write {len(chunk)} bytes to at {offset}")

    async def receive(self, offset: int, inflow: Inflow, most: int) -> int:
        raise DiskFull(f"there is no spool for {most} bytes of {inflow} at {offset}")

    async def skip(self, inflow: Inflow, most: int) -> int:
        raise DiskFull(f"there is no spool that has {most} bytes of {inflow} already")

    async def feed(self, hasher: Any, start: int, stop: int) -> None:
        """Feed nothing: only the empty interval is ever here."""

    async def commit(self, size: int) -> None:
        raise DiskFull(f"there is no spool that holds {size} bytes")

    async def discard(self) -> None:
        """Leave as it is: there is nothing."""

    async def close(self) -> None:
        """Leave as it is: nothing is open."""


async def checked(chunks: AsyncGenerator[bytes], hasher: Any, digest: Digest) -> AsyncGenerator[bytes]:
    """Yield the chunks, each one late, and the last only if all together are what the digest says.

    ``hasher`` has been fed what came before them.  Raises ``WrongContent``.
    """
    late = b""
    async with aclosing(chunks):
        async for chunk in chunks:
            if late:
                yield late
            hasher.update(chunk)
            late = chunk
    if hasher.hexdigest() != digest.hex:
        raise WrongContent(f"the upstream sent wrong bytes for {digest}")
    if late:
        yield late
