"""The access log: one line per request, written by a thread that no request waits for."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import BinaryIO

import msgspec

from entrepot.telemetry.log import Style

__all__ = ["AccessEntry", "AccessLog"]

_MOST_LINES = 20_000
_BATCH_LINES = 500
_GATHER_SECONDS = 0.2
_LONGEST_CLOSE = 2.0

_ENCODER = msgspec.json.Encoder()


class AccessEntry(msgspec.Struct, tag_field="event", tag="request", gc=False):
    """``size`` counts the bytes of body sent; ``cache`` says how the cache fared: hit, stale, miss...

    ``reason`` tells why the answer is an error, or broke off; ``None`` for one that went well.
    """

    time: datetime
    remote: str
    method: str
    path: str
    status: int
    size: int
    duration_seconds: float
    upstream: str | None = None
    repository: str | None = None
    reference: str | None = None
    cache: str | None = None
    reason: str | None = None
    user_agent: str | None = None


class AccessLog:
    """Holds lines until its thread has written them to ``stream``, 0.2 s at a time.

    An entry is made a line at once: one object is less to keep than the dozen it is made of.

    What a stuck stream leaves no room for, and what a broken one refuses, is lost:
    ``dropped`` is told how many lines, from either thread.
    """

    def __init__(self, stream: BinaryIO, style: Style, dropped: Callable[[int], None]) -> None:
        self._stream = stream
        self._encode = _as_json if style == "json" else _as_text
        self._dropped = dropped
        self._lines: deque[bytes] = deque()
        self._arrived = threading.Event()
        self._closing = threading.Event()
        # A daemon, so that a stuck stream does not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def record(self, entry: AccessEntry) -> None:
        if len(self._lines) >= _MOST_LINES:
            self._dropped(1)
            return
        self._lines.append(self._encode(entry))
        if not self._arrived.is_set():
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
            closing = self._closing.wait(_GATHER_SECONDS)
            # Cleared before the lines are taken: one that comes in between wakes us once too often.
            self._arrived.clear()
            while batch := self._take():
                self._write(batch)

    def _take(self) -> list[bytes]:
        return [self._lines.popleft() for _ in range(min(len(self._lines), _BATCH_LINES))]

    def _write(self, batch: list[bytes]) -> None:
        try:
            self._stream.write(b"".join(batch))
            self._stream.flush()
        except OSError:
            self._dropped(len(batch))


def _as_json(entry: AccessEntry) -> bytes:
    try:
        return _ENCODER.encode(entry) + b"\n"
    except UnicodeEncodeError:
        # A lone surrogate, from a header's bytes, which only JSON's escapes can say.
        return f"{json.dumps(msgspec.to_builtins(entry))}\n".encode()


def _as_text(entry: AccessEntry) -> bytes:
    # Written as literals: what clients and upstreams say may hold control characters, which terminals obey.
    path = ascii(entry.path)[1:-1]
    reason = "" if entry.reason is None else f" {ascii(entry.reason)[1:-1]}"
    milliseconds = entry.duration_seconds * 1000
    line = (
        f"{entry.time:%Y-%m-%d %H:%M:%S} {entry.remote} {entry.method} {path} {entry.status}"
        f" {entry.size} B {milliseconds:.1f} ms {entry.cache or '-'}{reason}\n"
    )
    return line.encode("ascii", "backslashreplace")
