"""One stretch of a blob on its way from an upstream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from msgspec import Struct

from entrepot.errors import NotHere, RateLimited, Refused, UpstreamDown, UpstreamLoops, WrongContent
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.ports.clock import Clock
from entrepot.ports.upstream import BlobOrigin, BlobStream, Inflow, Upstream

__all__ = ["Fetch", "Opened", "Source", "download"]

_ATTEMPTS = 4
_ATTEMPTS_TO_GO_ON = 8  # Long enough for a restart.
_ANSWERS_IN_VAIN = 4  # Whoever answers is no longer restarting, and would answer the same again.
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_SECOND_THOUGHTS = 1.0
_PROGRESS = 64 << 10
_STEP = 3 << 20  # A fetch is cut short further ahead of its cursor (``plan.NEAR``): two never write the same.


class Source(Struct, frozen=True):
    """A place to get a blob from."""

    upstream: Upstream
    repository: Repository
    digest: Digest


class Fetch:
    """``[cursor, stop)`` is still to come; ``stop`` is ``None`` where the blob's size is not known.

    ``stop`` may move while the download runs: what lies beyond is then another's, or no longer.
    """

    __slots__ = ("cursor", "doubted", "farthest", "is_open", "origin", "stop")

    def __init__(self, cursor: int, stop: int | None) -> None:
        self.cursor = cursor
        self.farthest = cursor
        """Where the cursor got before it was put back, by an upstream that does not honour Range."""
        self.stop = stop
        self.is_open = False
        """The upstream has answered, and the connection has not broken since."""
        self.origin: BlobOrigin | None = None
        """Who answers, once somebody does."""
        self.doubted: set[BlobOrigin] = set()
        """Who said what was wrong: they are asked for the whole, as ranges are what registries err in."""

    @property
    def is_done(self) -> bool:
        return self.stop is not None and self.cursor >= self.stop

    def advance(self, count: int) -> None:
        self.cursor += count
        self.farthest = max(self.farthest, self.cursor)

    def covers(self, position: int) -> bool:
        return self.cursor <= position and (self.stop is None or position < self.stop)


Receive = Callable[[int, Inflow, int], Awaitable[int]]
"""Takes care of what comes at an offset, at most so many bytes; returns how many."""

Opened = Callable[[Fetch, BlobStream], Awaitable[Receive | None]]
"""Checks a new connection against what is known of the blob; may move the fetch's cursor and stop.

Nothing is read from the connection before it returns.  What it returns, if anything, may be given the
bytes where they come: they are then not yielded.
"""


async def download(
    fetch: Fetch, sources: Sequence[Source], opened: Opened, clock: Clock
) -> AsyncGenerator[bytes]:
    """Yield the bytes from ``fetch.cursor`` on, through broken connections and from source to source.

    The cursor moves when the next chunk is asked for: what was yielded is by then taken care of.
    Raises the last failure when every source refuses, or when nothing more comes.
    """
    attempts = _Attempts(sources)
    while not fetch.is_done:
        async with aclosing(_attempt(fetch, attempts, opened)) as chunks:
            async for chunk in chunks:
                yield chunk
        fetch.is_open, fetch.origin = False, None
        if attempts.pause:
            await clock.sleep(attempts.pause)


class _Attempts:
    """What was tried; sources that refuse are not tried again, others take turns."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._refused: list[Source] = []
        self._failures = 0
        self._vain = 0
        self._has_progressed = False
        self._giver: Source | None = None
        """Who gave some of the blob last, and has not refused since."""
        self.pause = 0.0
        """Seconds to wait before the next attempt."""

    def next_source(self) -> Source:
        willing = [source for source in self._sources if source not in self._refused]
        return willing[self._failures % len(willing)]

    def refused(self, source: Source) -> bool:
        """Count a refusal; tell whether anybody is left to ask.

        Who gave a part a moment ago and now has none of it is in some trouble, and is asked once more.
        """
        if source is self._giver:
            self._giver, self.pause = None, _SECOND_THOUGHTS
            return True
        self._refused.append(source)
        return any(source not in self._refused for source in self._sources)

    def failed(
        self, source: Source, failure: RateLimited | UpstreamDown, progress: int, *, is_answered: bool
    ) -> bool:
        """Count a failure ``progress`` bytes behind the one before; tell whether to go on."""
        is_vain = isinstance(failure, WrongContent) or (is_answered and progress == 0)
        self._vain = 0 if progress >= _PROGRESS else self._vain + is_vain
        if progress > 0:
            self._has_progressed, self._giver = True, source
        self._failures = 1 if progress >= _PROGRESS else self._failures + 1
        most = _ATTEMPTS_TO_GO_ON if self._has_progressed else _ATTEMPTS
        grown = _FIRST_PAUSE * 2 ** (self._failures - 2) if self._failures > 1 else 0.0
        self.pause = failure.retry_after or grown
        is_worth_it = self._failures < most and self._vain < _ANSWERS_IN_VAIN
        return is_worth_it and self.pause <= _LONGEST_PAUSE


async def _attempt(fetch: Fetch, attempts: _Attempts, opened: Opened) -> AsyncGenerator[bytes]:
    source, begin = attempts.next_source(), fetch.farthest
    attempts.pause = 0.0
    try:
        async with aclosing(_connection(fetch, source, opened)) as chunks:
            async for chunk in chunks:
                yield chunk
    except (NotHere, Refused, UpstreamLoops):
        if not attempts.refused(source):
            raise
    except (RateLimited, UpstreamDown) as failure:
        progress = fetch.farthest - begin
        if isinstance(failure, WrongContent) and fetch.origin is not None:
            fetch.doubted.add(fetch.origin)
        if not attempts.failed(source, failure, progress, is_answered=fetch.is_open):
            raise


async def _connection(fetch: Fetch, source: Source, opened: Opened) -> AsyncGenerator[bytes]:
    async with source.upstream.open_blob(
        source.repository.name, source.digest, fetch.cursor, fetch.stop, whole_of=fetch.doubted
    ) as stream:
        fetch.origin = stream.origin
        receive = await opened(fetch, stream)
        fetch.is_open = True
        inflow = stream.divert() if receive is not None else None
        async for chunk in stream.chunks():
            if fetch.is_done:
                return
            wanted = chunk if fetch.stop is None else chunk[: fetch.stop - fetch.cursor]
            yield wanted
            fetch.advance(len(wanted))
        while receive is not None and inflow is not None and not fetch.is_done and await inflow.ready():
            step = _STEP if fetch.stop is None else min(_STEP, fetch.stop - fetch.cursor)
            fetch.advance(await receive(fetch.cursor, inflow, step))
    if fetch.stop is None:
        fetch.stop = fetch.cursor
    elif not fetch.is_done:
        raise UpstreamDown(f"the upstream ended the download {fetch.stop - fetch.cursor} bytes too early")
