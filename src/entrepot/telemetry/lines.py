"""Lines on their way out of the program: held until a thread has written them; nobody else waits."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable

__all__ = ["BATCH_BYTES", "LineWriter", "write_whole"]

_MOST_BYTES = 8 << 20
BATCH_BYTES = 4 << 20
"""All of 0.2 s: to get the interpreter's lock back after each call costs whoever holds it most of all."""
_GATHER_SECONDS = 0.2
_RETRY_SECONDS = 1.0
_LONGEST_CLOSE = 2.0


class LineWriter:
    """Hands the lines of 0.2 s to ``write``, in the order in which they were put, from any thread.

    ``write`` raises ``OSError`` where it cannot.  What it refuses is lost, and so is what 8 MiB of
    held lines leave no room for; ``dropped`` is told how many lines.  With ``retries`` what was
    refused is offered again, every second until the end.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        name: str,
        *,
        retries: bool = False,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        """``write`` gets no more than ``batch_bytes`` at once, unless what was put together is more."""
        self.dropped: Callable[[int], object] = lambda _lines: None
        self._write = write
        self._retries = retries
        self._batch_bytes = batch_bytes
        self._lines: deque[bytes] = deque()
        # Two counts, of which each side changes its own: that takes no lock on the way of requests.
        self._taken_bytes = 0
        self._passed_bytes = 0
        self._is_idle = True
        self._arrived = threading.Event()
        self._closing = threading.Event()
        # A daemon, so that who cannot be written to does not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, lines: bytes) -> None:
        """Take one line or more, each with its end."""
        size = len(lines)
        if self._taken_bytes - self._passed_bytes + size > _MOST_BYTES:
            self.dropped(lines.count(b"\n"))
            return
        self._taken_bytes += size
        self._lines.append(lines)
        if self._is_idle:
            self._is_idle = False
            self._arrived.set()

    def close(self) -> None:
        """Write what is held, for two seconds at most."""
        self._closing.set()
        self._arrived.set()
        self._thread.join(_LONGEST_CLOSE)

    def _run(self) -> None:
        closing = False
        while not closing:
            self._arrived.wait()
            self._closing.wait(_GATHER_SECONDS)
            # Said before the lines are taken: one that comes in between wakes us once too often.
            self._arrived.clear()
            self._is_idle = True
            closing = self._closing.is_set()  # Looked at last: what is cleared may be the news of it.
            while batch := self._take():
                self._deliver(batch)

    def _take(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._lines and (not batch or size + len(self._lines[0]) <= self._batch_bytes):
            batch.append(self._lines.popleft())
            size += len(batch[-1])
        return batch

    def _deliver(self, batch: list[bytes]) -> None:
        lines = b"".join(batch)
        while True:
            try:
                self._write(lines)
            except OSError:
                if self._retries and not self._closing.wait(_RETRY_SECONDS):
                    continue
                self.dropped(lines.count(b"\n"))
            break
        self._passed_bytes += len(lines)


def write_whole(descriptor: int, content: bytes) -> None:
    """Write to a descriptor, past the buffers of Python, whose locks a stuck thread would hold at the end."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
