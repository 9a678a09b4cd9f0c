"""Finds entries in audit files, the newest first, a block of a file at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from entrepot.audit.folder import audit_files, begun_at
from entrepot.audit.lines import read_line
from entrepot.errors import StoreFailed
from entrepot.ports.audit import (
    ActionEntry,
    AuditEntry,
    AuditEvent,
    AuditPage,
    AuditQuery,
    InvalidCursor,
)

__all__ = ["read_page"]

_BLOCK = 64 << 10
_LONGEST_LINE = 1 << 20
_MOST_READ = 8 << 20
"""Bytes that are looked through for one page, so that no question takes long: its asker asks on."""

_PULLING = ("GET", "HEAD")
_PULLED = re.compile(r"/v2/.+/(?:manifests|blobs)/")
_NEEDLES: dict[AuditEvent, bytes] = {"pull": b"/v2/", "request": b'"request"', "action": b'"action"'}

_CURSOR = re.compile(r"(?P<name>[\w.-]{1,64}):(?P<offset>[0-9]{1,18})")


class _Place(NamedTuple):
    """What lies before an offset of a file, and in the files before it."""

    name: str
    offset: int


def read_page(folder: Path, query: AuditQuery, limit: int, cursor: str | None = None) -> AuditPage:
    """Return up to ``limit`` entries.

    Raises ``InvalidCursor``, and ``StoreFailed`` where the files cannot be read.
    """
    start = None if cursor is None else _parse(cursor)
    needles = list(_needles(query))
    entries: list[AuditEntry] = []
    read = 0
    try:
        for place, line in _lines(folder, query, start):
            if len(entries) >= limit or read > _MOST_READ:
                return AuditPage(entries, f"{place.name}:{place.offset}")
            read += len(line)
            entry = read_line(line) if all(any(one in line for one in some) for some in needles) else None
            if entry is not None and _is_wanted(entry, query):
                entries.append(entry)
    except OSError as failure:
        raise StoreFailed(f"the audit log in {folder} cannot be read: {failure.strerror}") from failure
    return AuditPage(entries, None)


def _parse(cursor: str) -> _Place:
    match = _CURSOR.fullmatch(cursor)
    if match is None or begun_at(match["name"]) is None:
        raise InvalidCursor(cursor)
    return _Place(match["name"], int(match["offset"]))


def _lines(folder: Path, query: AuditQuery, start: _Place | None) -> Iterator[tuple[_Place, bytes]]:
    """Yield lines that may be wanted, each with the place behind it."""
    files = [path for path in audit_files(folder) if start is None or path.name <= start.name]
    for path in reversed(files):
        most = start.offset if start is not None and path.name == start.name else None
        # One that is gone made room for a newer one meanwhile.
        with suppress(FileNotFoundError), path.open("rb") as file:
            if _may_hold_wanted(path, file, query):
                yield from ((_Place(path.name, end), line) for end, line in _backwards(file, most))


def _may_hold_wanted(path: Path, file: BinaryIO, query: AuditQuery) -> bool:
    begun = begun_at(path.name)
    if query.until is not None and begun is not None and begun > query.until:
        return False
    written_at = os.fstat(file.fileno()).st_mtime
    return query.since is None or written_at >= query.since.timestamp()


def _backwards(file: BinaryIO, most: int | None) -> Iterator[tuple[int, bytes]]:
    """Yield the lines within the first ``most`` bytes, the last one first, each with where it ends."""
    size = os.fstat(file.fileno()).st_size
    position = size if most is None else min(most, size)
    end, rest = position, b""
    while position > 0:
        step = min(_BLOCK, position)
        position -= step
        file.seek(position)
        first, *lines = (file.read(step) + rest).split(b"\n")
        for line in reversed(lines):
            if line:
                yield end, line
            end -= len(line) + 1
        rest = first
        if len(rest) > _LONGEST_LINE:  # No line of ours: forgotten, so that it takes no memory.
            end, rest = position, b""
    if rest:
        yield end, rest


def _needles(query: AuditQuery) -> Iterator[list[bytes]]:
    """Yield of what one stands in every line that is wanted, so that most of the others need no parsing."""
    for text in (query.caller, query.upstream, query.repository):
        if text is not None:
            yield [msgspec.json.encode(text)]
    if query.events:
        yield [_NEEDLES[event] for event in query.events]


def _is_wanted(entry: AuditEntry, query: AuditQuery) -> bool:
    return (
        (query.since is None or entry.time >= query.since)
        and (query.until is None or entry.time <= query.until)
        and query.caller in (None, entry.user, entry.remote)
        and query.upstream in (None, entry.upstream)
        and query.repository in (None, entry.repository)
        and (not query.events or any(_is_one(entry, event) for event in query.events))
    )


def _is_one(entry: AuditEntry, event: AuditEvent) -> bool:
    if isinstance(entry, ActionEntry):
        return event == "action"
    is_pull = entry.method in _PULLING and _PULLED.search(entry.path) is not None
    return event == "request" or (event == "pull" and is_pull)
