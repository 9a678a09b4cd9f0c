"""Byte ranges, as clients ask for them and as registries answer (RFC 9110, section 14)."""

from __future__ import annotations

import re

from msgspec import Struct

__all__ = [
    "ByteRange",
    "ContentRange",
    "Unsatisfiable",
    "parse_content_range",
    "parse_range",
    "range_header",
]

MAX_RANGES = 16
# Twenty digits hold every 64-bit number; a longer one is no position in any content.
_POSITION = r"[0-9]{1,20}"
_SPEC = re.compile(rf"(?P<first>{_POSITION})?-(?P<last>{_POSITION})?")
_CONTENT_RANGE = re.compile(rf"bytes\s+({_POSITION})-({_POSITION})/({_POSITION}|\*)", re.IGNORECASE)


class ByteRange(Struct, frozen=True):
    """The bytes ``[start, stop)``, at least one."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """Write the Content-Range of this part of ``size`` bytes."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


class Unsatisfiable(Struct, frozen=True):
    """Not one of the ranges touches the content: a 416."""

    size: int

    def content_range(self) -> str:
        return f"bytes */{self.size}"


class ContentRange(Struct, frozen=True):
    """What a 206 carries: ``[start, stop)`` of ``size`` bytes, ``None`` where the sender did not tell."""

    start: int
    stop: int
    size: int | None


def parse_range(header: str, size: int) -> tuple[ByteRange, ...] | Unsatisfiable | None:
    """Read a Range header against content of ``size`` bytes.

    ``None`` means that the header is to be ignored and the whole sent: it is malformed, of
    another unit, asks for more than 16 parts, or the content is empty and has no parts.
    Ranges come in the order asked for; if some overlap, all are sorted and those merged, so
    that no header makes a server send more than the whole.
    """
    specs = _specs(header)
    if specs is None or size == 0:
        return None
    ranges = []
    for first, last in specs:
        if first is None:
            start, stop = max(0, size - (last or 0)), size
        else:
            start, stop = first, size if last is None else min(last + 1, size)
        if start < stop:
            ranges.append(ByteRange(start, stop))
    return _disjoint(ranges) if ranges else Unsatisfiable(size)


def range_header(start: int, stop: int | None = None) -> str:
    """Write the Range header that asks for ``[start, stop)``."""
    return f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"


def parse_content_range(header: str) -> ContentRange | None:
    """Read the Content-Range of a 206; ``None`` if it makes no sense, or is that of a 416."""
    match = _CONTENT_RANGE.fullmatch(header.strip())
    if match is None:
        return None
    start, stop = int(match[1]), int(match[2]) + 1
    size = None if match[3] == "*" else int(match[3])
    if start >= stop or (size is not None and stop > size):
        return None
    return ContentRange(start, stop, size)


def _specs(header: str) -> list[tuple[int | None, int | None]] | None:
    """Return pairs of first and last position; a suffix has no first.  One bad part spoils all."""
    unit, _, listed = header.partition("=")
    if unit.strip().lower() != "bytes":
        return None
    parts = [stripped for part in listed.split(",", MAX_RANGES) if (stripped := part.strip())]
    if not 0 < len(parts) <= MAX_RANGES:
        return None
    specs = []
    for part in parts:
        match = _SPEC.fullmatch(part)
        if match is None or part == "-":
            return None
        first, last = (None if text is None else int(text) for text in match.groups())
        if first is not None and last is not None and last < first:
            return None
        specs.append((first, last))
    return specs


def _disjoint(ranges: list[ByteRange]) -> tuple[ByteRange, ...]:
    merged: list[ByteRange] = []
    for item in sorted(ranges, key=lambda item: item.start):
        if merged and item.start < merged[-1].stop:
            merged[-1] = ByteRange(merged[-1].start, max(merged[-1].stop, item.stop))
        else:
            merged.append(item)
    return tuple(ranges if len(merged) == len(ranges) else merged)
