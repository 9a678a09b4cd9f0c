"""What a metric is, as the documentation tells it."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Described"]


class Described(Struct, frozen=True):
    """A row of the table of metrics."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str
