"""WWW-Authenticate: what a registry wants to see before it answers (RFC 9110, section 11)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

__all__ = ["Challenge", "parse_challenges"]

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SEPARATOR = re.compile(r"[\s,]*")
# Servers leave values unquoted that hold more than a token may, such as URLs, and forget the closing quote.
_PARAMETER = re.compile(rf'({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)(?:"|\Z)|([^\s,"]+))', re.DOTALL)
_SCHEME = re.compile(rf"({_WORD})(?=[\s,]|\Z)")
_TOKEN68 = re.compile(r"[ \t]+([A-Za-z0-9._~+/-]+=*)\s*(?=,|\Z)")
_UNREADABLE = re.compile(r"[^,]+")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


class Challenge(Struct, frozen=True):
    """One way to authenticate; ``scheme`` and the names of ``parameters`` are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    token68: str | None = None


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Read every challenge of one or several WWW-Authenticate headers, in order.

    What cannot be read is passed over: a registry that misspells one challenge may spell
    the next one well.
    """
    return [challenge for header in headers for challenge in _challenges(header)]


def _challenges(header: str) -> list[Challenge]:
    challenges: list[Challenge] = []
    parameters: dict[str, str] = {}
    position = _after(_SEPARATOR, header, 0)
    while position < len(header):
        if match := _PARAMETER.match(header, position):
            name, quoted, bare = match.groups()
            parameters.setdefault(name.lower(), bare if quoted is None else _QUOTED_PAIR.sub(r"\1", quoted))
        elif match := _SCHEME.match(header, position):
            token = _TOKEN68.match(header, match.end())
            parameters = {}
            challenges.append(Challenge(match[1].lower(), parameters, token and token[1]))
            match = token or match
        end = match.end() if match else _after(_UNREADABLE, header, position)
        position = _after(_SEPARATOR, header, end)
    return challenges


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position
