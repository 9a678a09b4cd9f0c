"""Durations and sizes as people write them: ``30s``, ``200GiB``."""

from __future__ import annotations

import re
from typing import Self

__all__ = ["Bytes", "Seconds"]

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"": 1, "B": 1} | {
    f"{prefix}{suffix}": base**power
    for power, prefix in enumerate("KMGT", start=1)
    for suffix, base in (("B", 1000), ("iB", 1024), ("", 1024))
}


class Seconds(float):
    """A duration, written ``500ms``, ``30s``, ``5m``, ``12h``, ``30d`` or as a plain number of seconds."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", text.strip())
        if match is None:
            raise ValueError("expected a duration like 500ms, 30s, 5m, 12h or 30d")
        return cls(float(match[1]) * _SECONDS[match[2] or "s"])


class Bytes(int):
    """A size, written ``64KiB``, ``200GiB``, ``1TB`` or as a plain number of bytes."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
        if match is None or match[2] not in _BYTES:
            raise ValueError("expected a size like 64KiB, 500MB or 200GiB")
        return cls(int(float(match[1]) * _BYTES[match[2]]))
