"""What an answer's body is made of."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Piece", "Span"]


class Span(Struct, frozen=True, gc=False):
    """Bytes ``[start, stop)`` of an open file descriptor: sent without passing through the program."""

    file: int
    start: int
    stop: int


Piece = Span | bytes
