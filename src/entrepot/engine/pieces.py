"""What an answer's body is made of."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Piece", "Span"]


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes ``[start, stop)`` of an open file descriptor: sent without passing through the program."""

    file: int
    start: int
    stop: int


Piece = Span | bytes
