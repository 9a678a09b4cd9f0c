"""Durations and sizes as people write them: ``30s``, ``200GiB``."""

from __future__ import annotations

import re
from typing import Self

__all__ = ["Bytes", "Seconds"]

_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)"
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
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
        match = re.fullmatch(rf"{_NUMBER}\s*(ms|s|m|h|d)?", text.strip())
        if match is None:
            raise ValueError("expected a duration like 500ms, 30s, 5m, 12h or 30d")
        return cls(float(match[1]) * _SECONDS[match[2] or "s"])

    def written(self) -> str:
        """Return the text that ``parse`` reads as this duration, in the largest unit that divides it."""
        if not self.is_integer():
            return f"{self * 1000:.6f}".rstrip("0").rstrip(".") + "ms"
        unit = next(
            unit for unit, seconds in _SECONDS.items() if unit == "s" or (self and not self % seconds)
        )
        return f"{int(self) // int(_SECONDS[unit])}{unit}"


class Bytes(int):
    """A size, written ``64KiB``, ``200GiB``, ``1TB`` or as a plain number of bytes."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(rf"{_NUMBER}\s*([A-Za-z]*)", text.strip())
        if match is None or match[2] not in _BYTES:
            raise ValueError("expected a size like 64KiB, 500MB or 200GiB")
        return cls(int(float(match[1]) * _BYTES[match[2]]))

    def written(self) -> str:
        """Return the text that ``parse`` reads as this size, in the largest binary unit that divides it."""
        units = ("TiB", "GiB", "MiB", "KiB")
        unit = next((unit for unit in units if self and not self % _BYTES[unit]), "")
        return f"{self // _BYTES[unit]}{unit}"
