"""Lines one after another that differ in a duration only: what is read of the first holds for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["runs"]

_DURATION = '"duration_seconds":'
"""It cannot be within a text, where each quotation mark has a backslash before it."""
_LONGEST_DURATION = 24
"""Characters of a number."""


def runs(lines: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield all lines, in their order, as many together as are alike; each without its end.

    A line that was torn is like none that is whole, for it lacks the end that those have in common.
    """
    start = 0
    while start < len(lines):
        stop = _end_of_run(lines, start)
        yield lines[start:stop]
        start = stop


def _end_of_run(lines: Sequence[str], start: int) -> int:
    opening, name, rest = lines[start].partition(_DURATION)
    stop = start + 1
    _, comma, ending = rest.partition(",")
    if not comma:  # Torn, or so short that its end may be that of another kind.
        return stop
    opening, ending = opening + name, comma + ending
    longest = len(opening) + len(ending) + _LONGEST_DURATION
    for line in lines[stop:]:
        if not (line.startswith(opening) and line.endswith(ending) and len(line) <= longest):
            break
        stop += 1
    return stop
