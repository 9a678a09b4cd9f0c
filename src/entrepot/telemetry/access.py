"""The access log: one line per request."""

from __future__ import annotations

import json
from datetime import datetime

import msgspec

from entrepot.telemetry.lines import LineWriter
from entrepot.telemetry.log import Style

__all__ = ["AccessEntry", "AccessLog"]

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
    """Makes a line of an entry at once: one object is less to hold than the dozen it is made of."""

    def __init__(self, lines: LineWriter, style: Style) -> None:
        self._lines = lines
        self._encode = _as_json if style == "json" else _as_text

    def record(self, entry: AccessEntry) -> None:
        self._lines.put(self._encode(entry))


def _as_json(entry: AccessEntry) -> bytes:
    try:
        return _ENCODER.encode(entry) + b"\n"
    except UnicodeEncodeError:
        # A lone surrogate, from a header's bytes, which only JSON's escapes can say.
        return f"{json.dumps(msgspec.to_builtins(entry))}\n".encode()


def _as_text(entry: AccessEntry) -> bytes:
    # Written as literals: what clients and upstreams say may hold control characters, which terminals obey.
    path = ascii(entry.path)[1:-1]
    source = f" {entry.upstream}/{entry.repository}" if entry.upstream is not None else ""
    reason = "" if entry.reason is None else f" {ascii(entry.reason)[1:-1]}"
    milliseconds = entry.duration_seconds * 1000
    line = (
        f"{entry.time:%Y-%m-%d %H:%M:%S} {entry.remote} {entry.method} {path} {entry.status}"
        f" {entry.size} B {milliseconds:.1f} ms {entry.cache or '-'}{source}{reason}\n"
    )
    return line.encode("ascii", "backslashreplace")
