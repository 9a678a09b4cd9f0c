"""Text that must not be seen."""

from __future__ import annotations

__all__ = ["Secret"]


class Secret(str):
    """A string whose ``repr`` hides it; ``reveal()`` says at the call site that it is used."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'********'"

    def reveal(self) -> str:
        return str.__str__(self)
