"""Ranges of versions, as tags are filtered by (semver.org 2.0.0; the ranges are those of npm).

A range is alternatives joined by ``||``, each some comparisons that must all hold: ``>=1.2 <2 || ^3.1``.
``~1.2.3`` allows newer patches, ``^1.2.3`` all that is compatible; numbers that are left out, or ``x``,
may be any, and ``*`` is every version.
"""

from __future__ import annotations

import re
from operator import ge, gt, le, lt

from msgspec import Struct

__all__ = ["InvalidRange", "VersionRange", "parse_range", "parse_version"]

_NUMBER = r"0|[1-9][0-9]{0,14}"
_PRERELEASE = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(rf"v?({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PRERELEASE}))?")
_WILD = rf"{_NUMBER}|[xX*]"
_COMPARISON = re.compile(
    rf"(<=|>=|<|>|=|~|\^)?\s*v?({_WILD})(?:\.({_WILD}))?(?:\.({_WILD})(?:-({_PRERELEASE}))?)?"
)
_ORDERS = {"<": lt, "<=": le, ">": gt, ">=": ge}

Triple = tuple[int, int, int]
_Identifiers = tuple[tuple[int, int, str], ...]


class InvalidRange(ValueError):
    """The text is no range of versions."""


class Version(Struct, frozen=True, order=True):
    """Ordered by precedence: what is released comes after its pre-releases (semver.org, item 11)."""

    numbers: Triple
    is_release: bool = True
    identifiers: _Identifiers = ()


class _Bound(Struct, frozen=True):
    order: str
    version: Version

    def allows(self, version: Version) -> bool:
        return bool(_ORDERS[self.order](version, self.version))


class VersionRange(Struct, frozen=True):
    alternatives: tuple[tuple[_Bound, ...], ...]

    def takes(self, version: Version) -> bool:
        return any(_holds(bounds, version) for bounds in self.alternatives)


def parse_version(tag: str) -> Version | None:
    """Read a tag such as ``1.2.3`` or ``v1.2.3-rc.1``; all three numbers make it a version."""
    match = _VERSION.fullmatch(tag)
    if match is None:
        return None
    return _version((int(match[1]), int(match[2]), int(match[3])), match[4])


def parse_range(text: str) -> VersionRange:
    """Read a range; raise ``InvalidRange``."""
    return VersionRange(tuple(_alternative(part.strip()) for part in text.split("||")))


def _holds(bounds: tuple[_Bound, ...], version: Version) -> bool:
    """Take a pre-release only where the range names one of that very version, as npm does."""
    named = any(not bound.version.is_release and bound.version.numbers == version.numbers for bound in bounds)
    return (version.is_release or named) and all(bound.allows(version) for bound in bounds)


def _alternative(text: str) -> tuple[_Bound, ...]:
    bounds: list[_Bound] = []
    position = 0
    while position < len(text):
        match = _COMPARISON.match(text, position)
        if match is None:
            break
        bounds += _bounds(match)
        position = match.end()
        separator = re.compile(r"\s*,\s*|\s+|$").match(text, position)
        if separator is None:
            break
        position = separator.end()
    if not bounds or position < len(text):
        raise InvalidRange("expected a range of versions such as >=1.2 <2 or ^1.4")
    return tuple(bounds)


def _bounds(match: re.Match[str]) -> list[_Bound]:
    operator, prerelease = match[1] or "=", match[5]
    given: list[int] = []
    for part in (match[2], match[3], match[4]):
        if part is None or not part.isdigit():
            break
        given.append(int(part))
    is_partial = len(given) < 3
    low = _version(_padded(given), None if is_partial else prerelease)
    if not given:
        return [_Bound(">=", low)]
    after = _version(_raised(given, _place_raised(operator, given)), None)
    if operator in "~^" or (is_partial and operator == "="):
        return [_Bound(">=", low), _Bound("<", after)]
    if operator == "=":
        return [_Bound(">=", low), _Bound("<=", low)]
    if is_partial and operator in (">", "<="):
        return [_Bound({">": ">=", "<=": "<"}[operator], after)]
    return [_Bound(operator, low)]


def _place_raised(operator: str, given: list[int]) -> int:
    """Return the place of the number that the first version beyond all that are meant has one higher."""
    if operator == "^":  # What changes at the first number that is not zero is not compatible.
        return next((place for place, number in enumerate(given) if number), len(given) - 1)
    return min(len(given), 2) - 1 if operator == "~" else len(given) - 1


def _raised(given: list[int], place: int) -> Triple:
    return _padded([*given[:place], given[place] + 1])


def _padded(given: list[int]) -> Triple:
    major, minor, patch = [*given, 0, 0, 0][:3]
    return major, minor, patch


def _version(numbers: Triple, prerelease: str | None) -> Version:
    if prerelease is None:
        return Version(numbers)
    parts = prerelease.split(".")
    identifiers = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
    return Version(numbers, is_release=False, identifiers=identifiers)
