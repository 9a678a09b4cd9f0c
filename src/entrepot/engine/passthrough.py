"""A blob handed on as it comes, kept nowhere: for when the disk has no room."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from entrepot.engine.fetch import Fetch, Source, download
from entrepot.engine.relay import Relays
from entrepot.engine.tasks import Tasks
from entrepot.errors import DiskFull, WrongContent
from entrepot.oci.digest import Digest
from entrepot.ports.blobs import Spool
from entrepot.ports.clock import Clock
from entrepot.ports.upstream import BlobStream, Inflow

__all__ = ["NoSpool", "PassThrough", "checked"]

Answered = Callable[[Fetch, BlobStream], None]
"""Told of a new connection, before anything is read from it; may raise what is wrong with it."""


class PassThrough:
    """What comes of a blob past the store; whoever wants the same at the same time shares a download.

    There is a source at least, and there may be more by the time that one is asked.
    """

    def __init__(
        self, sources: Sequence[Source], spool: Spool, answered: Answered, tasks: Tasks, clock: Clock
    ) -> None:
        self._sources = sources
        self._digest = sources[0].digest
        self._spool = spool
        self._answered = answered
        self._clock = clock
        self._relays = Relays(self._rest, tasks, str(self._digest))

    async def read(self, start: int, stop: int | None, *, is_checked: bool) -> AsyncGenerator[bytes]:
        """Yield ``[start, stop)``; the last of it, if that is to be checked, only where the whole is right.

        The spool has what is before ``start``, then.  Raises what the download fails with.
        """
        chunks = self._relays.read(start, stop)
        if is_checked:
            hasher = self._digest.hasher()
            await self._spool.feed(hasher, 0, start)
            chunks = checked(chunks, hasher, self._digest)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def _rest(self, position: int, stop: int | None) -> AsyncGenerator[bytes]:
        fetch = Fetch(position, stop)
        async with aclosing(download(fetch, self._sources, self._opened, self._clock)) as chunks:
            async for chunk in chunks:
                # An upstream that does not honour Range sends again what the readers have.
                behind = max(0, position - fetch.cursor)
                if behind < len(chunk):
                    yield chunk[behind:]
                    position = fetch.cursor + len(chunk)

    async def _opened(self, fetch: Fetch, stream: BlobStream) -> None:
        self._answered(fetch, stream)
        fetch.cursor = stream.start


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
