"""The last events, kept in memory for people to look at."""

from __future__ import annotations

import itertools
from collections import deque
from typing import Any

from msgspec import Struct
from structlog.typing import EventDict

__all__ = ["Event", "Events"]

_MOST = 1000
_MOST_MEMBERS = 20
_LONGEST = 500
"""What clients and upstreams say may be long: so many characters of each text are kept."""


class Event(Struct, frozen=True, gc=False):
    """A line of the log: ``number`` counts them since the start, ``time`` is ISO 8601."""

    number: int
    time: str
    level: str
    event: str
    fields: dict[str, Any]


class Events:
    """A processor of the log: it keeps a copy of each line, the newest thousand."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=_MOST)
        self._numbers = itertools.count(1)

    def __call__(self, _logger: object, _method: str, line: EventDict) -> EventDict:
        known = {"event", "time", "level"}
        fields = {name: _short(value) for name, value in line.items() if name not in known}
        time, level, word = (str(line.get(name, "")) for name in ("time", "level", "event"))
        self._events.append(Event(next(self._numbers), time, level, word, fields))
        return line

    def newest_first(self) -> list[Event]:
        return list(reversed(self._events))


def _short(value: Any) -> Any:
    """Keep what JSON knows; all else as text, which holds no object alive."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_short(member) for member in value[:_MOST_MEMBERS]]
    if isinstance(value, dict):
        members = itertools.islice(value.items(), _MOST_MEMBERS)
        return {_short(str(name)): _short(member) for name, member in members}
    text = repr(value) if isinstance(value, BaseException) else str(value)
    return text[:_LONGEST].encode("utf-8", "replace").decode()
