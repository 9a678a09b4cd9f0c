"""Durations, sizes and shares as people write them: ``30s``, ``200GiB``, ``80%``."""

from __future__ import annotations

import re
from typing import Self

__all__ = ["Amount", "Bytes", "Percent", "Seconds"]

_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)"
_PERCENT = re.compile(rf"{_NUMBER}\s*%")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_BYTES = {"": 1, "B": 1} | {
    f"{prefix}{suffix}": base**power
    for power, prefix in enumerate("KMGT", start=1)
    for suffix, base in (("B", 1000), ("iB", 1024), ("", 1024))
}
_WRITTEN_UNITS = ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "KB")


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
        """Return the text that ``parse`` reads as this size, in the largest unit that divides it."""
        units = [unit for unit in _WRITTEN_UNITS if self and not self % _BYTES[unit]]
        unit = max(units, key=_BYTES.__getitem__, default="")
        return f"{self // _BYTES[unit]}{unit}"


class Percent(float):
    """A share of something, written ``80%``."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _PERCENT.fullmatch(text.strip())
        if match is None or float(match[1]) > 100:
            raise ValueError("expected a percentage like 80%, at most 100%")
        return cls(match[1])

    def of(self, total: int) -> int:
        return int(total * self / 100)

    def written(self) -> str:
        return f"{self:.9f}".rstrip("0").rstrip(".") + "%"


class Amount:
    """A part of a disk, written as a size, ``200GiB``, or as a percentage, ``80%``."""

    __slots__ = ("_part",)

    def __init__(self, part: Bytes | Percent) -> None:
        self._part = part

    @classmethod
    def parse(cls, text: str) -> Self:
        if "%" in text:
            return cls(Percent.parse(text))
        try:
            return cls(Bytes.parse(text))
        except ValueError:
            raise ValueError("expected a size like 200GiB or a percentage like 80%") from None

    def of(self, total: int) -> int:
        """Return the bytes that it means on a disk of ``total`` bytes."""
        return self._part.of(total) if isinstance(self._part, Percent) else int(self._part)

    def written(self) -> str:
        return self._part.written()

    def __bool__(self) -> bool:
        return bool(self._part)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Amount) and self.written() == other.written()

    def __hash__(self) -> int:
        return hash(self.written())
