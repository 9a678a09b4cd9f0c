"""Text that must not be seen."""

from __future__ import annotations

__all__ = ["HIDDEN", "Secret"]

HIDDEN = "********"


class Secret(str):
    """A string that hides itself when shown; ``reveal()`` says at the call site that it is used."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(HIDDEN)

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, specification: str) -> str:
        return format(HIDDEN, specification)

    def reveal(self) -> str:
        return str.__str__(self)
