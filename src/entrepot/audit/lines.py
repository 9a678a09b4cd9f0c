"""An entry as a line: JSON for programs, text for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from entrepot.ports.audit import ActionEntry, AuditEntry, RequestEntry

__all__ = ["AlikeLines", "as_json", "as_text", "read_line"]

_BLANKS = re.compile(rb'(?<="time":)"1970-01-01T00:00:00Z"|(?<="remote":)""|(?<="duration_seconds":)0\.0')
_SHORT = [b"%.6f" % (number / 1e6) for number in range(1000)]
_SHORT_SECONDS = 0.001
_EPOCH = datetime.fromtimestamp(0, UTC)
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(RequestEntry | ActionEntry)


def as_json(*entries: AuditEntry) -> bytes:
    try:
        return _ENCODER.encode_lines(entries)
    except UnicodeEncodeError:
        # A lone surrogate, from a header's bytes, which is no text that could be read again.
        return _ENCODER.encode_lines([_as_unicode(msgspec.to_builtins(entry)) for entry in entries])


class AlikeLines:
    """The JSON of requests that differ in ``time``, ``remote`` and ``duration_seconds`` only.

    What they share is encoded once, when there is the first to be written: it may be the last.
    """

    __slots__ = ("_entry", "_parts")

    def __init__(self, entry: RequestEntry) -> None:
        self._entry = entry
        self._parts: list[bytes] = []

    def of(self, now: float, remote: str, durations: Sequence[float]) -> bytes:
        """Return the lines, each with its end, of requests that ended at a time in epoch seconds."""
        head, before, between, end = self._parts = self._parts or self._split()
        time = _ENCODER.encode(datetime.fromtimestamp(now, UTC))
        start = b"".join((head, time, before, _ENCODER.encode(remote), between))
        shown = [
            _SHORT[int(seconds * 1e6)] if seconds < _SHORT_SECONDS else b"%.6f" % seconds
            for seconds in durations
        ]
        return b"".join((start, (end + start).join(shown), end))

    def _split(self) -> list[bytes]:
        blank = msgspec.structs.replace(self._entry, time=_EPOCH, remote="", duration_seconds=0.0)
        # None of the three can be within a text, where each quotation mark has a backslash before it.
        return _BLANKS.split(as_json(blank))


def as_text(entry: AuditEntry) -> bytes:
    line = _request_text(entry) if isinstance(entry, RequestEntry) else _action_text(entry)
    reason = "" if entry.reason is None else f" {_shown(entry.reason)}"
    return f"{entry.time:%Y-%m-%d %H:%M:%S} {line}{reason}\n".encode("ascii", "backslashreplace")


def read_line(line: bytes) -> AuditEntry | None:
    """Return the entry; ``None`` for a line that is none, being torn or somebody else's."""
    try:
        entry: AuditEntry = _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return entry


def _request_text(entry: RequestEntry) -> str:
    milliseconds = entry.duration_seconds * 1000
    source = f" {entry.upstream}/{entry.repository}" if entry.upstream is not None else ""
    return (
        f"{entry.remote} {entry.method} {_shown(entry.path)} {entry.status}"
        f" {entry.size} B {milliseconds:.1f} ms {entry.cache or '-'}{source}"
    )


def _action_text(entry: ActionEntry) -> str:
    what = "/".join(part for part in (entry.upstream, entry.repository, entry.reference) if part is not None)
    return f"{entry.remote or '-'} {_shown(entry.user or '-')} {entry.action} {_shown(what)}"


def _as_unicode(value: Any) -> Any:
    """Write what is no Unicode in texts as the escapes that Python has for it."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {name: _as_unicode(part) for name, part in value.items()}
    return value


def _shown(text: str) -> str:
    """Write text as a literal: what clients and upstreams say may hold control characters."""
    return ascii(text)[1:-1]
