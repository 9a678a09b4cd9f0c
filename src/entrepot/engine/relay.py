"""One download shared by many and kept nowhere: for when the disk has no room.

The reader who is ahead sets the pace.  The bytes it has had stay in memory for a while, for those
behind it; whoever falls out of that window goes on with a download of his own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from entrepot.engine.tasks import Tasks
from entrepot.errors import EntrepotError

__all__ = ["Relays"]

_WINDOW = 4 << 20

Begin = Callable[[int, int | None], AsyncGenerator[bytes]]
"""Begins the download of ``[start, stop)``, to the end where ``stop`` is ``None``."""


class Relays:
    """The shared downloads of one blob."""

    def __init__(self, begin: Begin, tasks: Tasks, name: str) -> None:
        self._begin = begin
        self._tasks = tasks
        self._name = name
        self._running: list[_Relay] = []

    async def read(self, position: int, stop: int | None) -> AsyncGenerator[bytes]:
        """Yield ``[position, stop)``; raises what the download fails with."""
        while stop is None or position < stop:
            relay = self._at(position, stop)
            async with aclosing(relay.read(position, stop)) as chunks:
                async for chunk in chunks:
                    position += len(chunk)
                    yield chunk
            if relay.holds(position):
                return

    def _at(self, position: int, stop: int | None) -> _Relay:
        """Return the download that brings what is wanted next, begun now if there is none."""
        for relay in self._running:
            if relay.stop == stop and relay.holds(position) and not relay.is_over:
                return relay
        relay = _Relay(position, stop)
        self._running.append(relay)
        relay.pump = self._tasks.spawn(self._run(relay), f"relay {self._name} from {position}")
        return relay

    async def _run(self, relay: _Relay) -> None:
        try:
            await relay.run(self._begin(relay.head, relay.stop))
        finally:
            self._running.remove(relay)


class _Relay:
    """``first`` is the first byte that is still at hand, ``head`` the next to come."""

    def __init__(self, start: int, stop: int | None) -> None:
        self.stop = stop
        self.first = self.head = self._start = start
        self.is_over = False
        self.pump: asyncio.Task[None] | None = None
        self._chunks: deque[bytes] = deque()
        self._dropped = 0
        self._readers = 0
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._failure: EntrepotError | None = EntrepotError("the download was given up")

    def holds(self, position: int) -> bool:
        return self.first <= position <= self.head

    async def run(self, chunks: AsyncGenerator[bytes]) -> None:
        """Take a chunk whenever the reader who is ahead wants one."""
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    self._keep(chunk)
                    await self._wanted.wait()
            self._failure = None
        except EntrepotError as failure:
            self._failure = failure
        finally:
            self.is_over = True
            self._notify()

    async def read(self, position: int, stop: int | None) -> AsyncGenerator[bytes]:
        """Yield ``[position, stop)``, or less where the reader falls behind."""
        self._readers += 1
        try:
            number, offset = self._find(position)
            while number >= self._dropped and (stop is None or position < stop):
                if number < self._dropped + len(self._chunks):
                    chunk = self._chunks[number - self._dropped][offset:]
                    number, offset, position = number + 1, 0, position + len(chunk)
                    yield chunk
                elif not self.is_over:
                    self._wanted.set()
                    await self._changed.wait()
                elif self._failure is not None:
                    raise self._failure.with_traceback(None)
                else:
                    return
        finally:
            self._readers -= 1
            if not self._readers and self.pump is not None:
                self.is_over = True
                self.pump.cancel()

    def _find(self, position: int) -> tuple[int, int]:
        """Return the number of the chunk that holds a byte, counted from the start, and where in it."""
        start = self.first
        for number, chunk in enumerate(self._chunks, self._dropped):
            if position < start + len(chunk):
                return number, position - start
            start += len(chunk)
        return self._dropped + len(self._chunks), 0

    def _keep(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self.head += len(chunk)
        # Who comes a moment later is served too; after that, nobody who is alone needs what he has had.
        is_shared = self._readers > 1 or self.head - self._start <= _WINDOW
        while self.head - self.first > (_WINDOW if is_shared else 0) and len(self._chunks) > 1:
            self.first += len(self._chunks.popleft())
            self._dropped += 1
        self._wanted.clear()
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed.clear()
