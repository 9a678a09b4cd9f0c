"""Guesses what was meant by a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean"]

_LIKENESS = 0.7
"""Hosts of one domain have half their letters in common, and are not misspelt for that."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean ...?"`` where a known word is much like this one, else nothing."""
    words = {other.lower(): other for other in known}
    close = get_close_matches(word.lower(), words, n=1, cutoff=_LIKENESS)
    return f"; did you mean {words[close[0]]}?" if close else ""
