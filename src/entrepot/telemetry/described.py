"""What a metric is, as the documentation tells it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Described"]


@dataclass(frozen=True, slots=True)
class Described:
    """A row of the table of metrics."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
