"""What was written where: text from files, variables and the command line, before it means anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

__all__ = ["Node", "Place", "Problem", "merge", "plant"]


class Place(Struct, frozen=True):
    """A line of a file, a variable, the command line; ``folder`` is where its relative paths start."""

    source: str
    folder: Path
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


class Node(Struct, frozen=True):
    """Text, nothing (``null``), a list or a mapping, and its place.

    Scalars stay text until the schema says what they are, so that a password of
    digits, or a tag named ``1.10``, is taken as it was written.
    """

    value: str | tuple[Node, ...] | dict[str, Node] | None
    place: Place

    def children(self) -> dict[str, Node]:
        """Return the entries of a mapping; none of anything else."""
        return self.value if isinstance(self.value, dict) else {}

    def place_of(self, *path: str) -> Place:
        """Return where ``path`` was written, or the last that was on the way to it."""
        child = self.children().get(path[0]) if path else None
        return child.place_of(*path[1:]) if child else self.place


class Problem(Struct, frozen=True):
    """One complaint: ``key`` is the setting's full name, empty for a whole source."""

    place: Place
    key: str
    complaint: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), self.key, self.complaint) if part)


def merge(below: Node, above: Node) -> Node:
    """Lay mappings over each other, key by key; all else of ``above`` replaces what is ``below``."""
    if not isinstance(below.value, dict) or not isinstance(above.value, dict):
        return above
    merged = dict(below.value)
    for key, node in above.value.items():
        merged[key] = merge(merged[key], node) if key in merged else node
    return Node(merged, below.place)


def plant(value: object, place: Place) -> Node:
    """Make nodes of plain values: mappings, sequences, and scalars by their text."""
    if value is None or isinstance(value, str):
        return Node(value, place)
    if isinstance(value, Mapping):
        return Node({str(key): plant(child, place) for key, child in value.items()}, place)
    if isinstance(value, Sequence):
        return Node(tuple(plant(child, place) for child in value), place)
    return Node(str(value), place)
