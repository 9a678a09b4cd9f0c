"""One stretch of a blob on its way from an upstream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from entrepot.errors import EntrepotError, NotHere, RateLimited, Refused, UpstreamDown
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.ports.clock import Clock
from entrepot.ports.upstream import BlobStream, Upstream

__all__ = ["Fetch", "Opened", "Source", "download"]

_ATTEMPTS = 4
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_PROGRESS = 64 << 10


class Fetch:
    """``[cursor, stop)`` is still to come; ``stop`` is ``None`` where the blob's size is not known.

    ``stop`` may be lowered while the download runs: what lies beyond is then another's.
    """

    __slots__ = ("cursor", "offset", "stop")

    def __init__(self, cursor: int, stop: int | None) -> None:
        self.cursor = cursor
        self.offset = cursor
        """Where the connection stands: behind the cursor where Range is not honoured."""
        self.stop = stop

    @property
    def is_done(self) -> bool:
        return self.stop is not None and self.cursor >= self.stop

    def covers(self, position: int) -> bool:
        return self.cursor <= position and (self.stop is None or position < self.stop)


@dataclass(frozen=True, slots=True)
class Source:
    """A place to get a blob from."""

    upstream: Upstream
    repository: Repository
    digest: Digest


Opened = Callable[[Fetch, BlobStream], None]
"""Checks a new connection against what is known of the blob; may move ``fetch.stop``."""


async def download(
    fetch: Fetch, sources: Sequence[Source], opened: Opened, clock: Clock
) -> AsyncGenerator[bytes]:
    """Yield the bytes from ``fetch.cursor`` on, through broken connections and from source to source.

    The cursor moves when the next chunk is asked for: what was yielded is by then taken care of.
    Raises the last failure when every source refuses, or when nothing more comes.
    """
    patience = _Patience()
    while not fetch.is_done:
        source = sources[patience.failures % len(sources)]
        patience.pause = 0.0
        async with aclosing(_attempt(fetch, source, opened, patience, len(sources))) as chunks:
            async for chunk in chunks:
                yield chunk
        if patience.pause:
            await clock.sleep(patience.pause)


class _Patience:
    """``failures`` in a row without progress, and the seconds to wait before the next attempt."""

    def __init__(self) -> None:
        self.failures = 0
        self.pause = 0.0

    def bears(self, failure: EntrepotError, progress: int, sources: int) -> bool:
        """Tell whether to try again after a failure that came ``progress`` bytes later than the last."""
        self.failures = 1 if progress >= _PROGRESS else self.failures + 1
        if not isinstance(failure, RateLimited | UpstreamDown):
            return self.failures < sources
        grown = _FIRST_PAUSE * 2 ** (self.failures - 2) if self.failures > 1 else 0.0
        self.pause = failure.retry_after or grown
        return self.failures < _ATTEMPTS and self.pause <= _LONGEST_PAUSE


async def _attempt(
    fetch: Fetch, source: Source, opened: Opened, patience: _Patience, sources: int
) -> AsyncGenerator[bytes]:
    before = fetch.cursor
    try:
        async with aclosing(_connection(fetch, source, opened)) as chunks:
            async for chunk in chunks:
                yield chunk
    except (NotHere, Refused, RateLimited, UpstreamDown) as failure:
        if not patience.bears(failure, fetch.cursor - before, sources):
            raise


async def _connection(fetch: Fetch, source: Source, opened: Opened) -> AsyncGenerator[bytes]:
    begin = fetch.cursor
    opening = source.upstream.open_blob(source.repository.name, source.digest, fetch.cursor, fetch.stop)
    async with opening as stream:
        fetch.offset = stream.start
        opened(fetch, stream)
        async for chunk in stream.chunks():
            wanted = _wanted(fetch, chunk)
            fetch.offset += len(chunk)
            if wanted:
                yield wanted
                fetch.cursor += len(wanted)
            if fetch.is_done:
                return
    if fetch.stop is None:
        fetch.stop = fetch.cursor
    elif fetch.cursor == begin and not fetch.is_done:
        raise UpstreamDown("the upstream ended the download before it sent what was asked for")


def _wanted(fetch: Fetch, chunk: bytes) -> bytes:
    """Cut from a chunk at ``fetch.offset`` what lies before the cursor and what lies beyond the stop."""
    skip = fetch.cursor - fetch.offset
    keep = len(chunk) if fetch.stop is None else fetch.stop - fetch.offset
    return chunk if skip <= 0 and keep >= len(chunk) else chunk[max(skip, 0) : max(keep, 0)]
