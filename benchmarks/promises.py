"""What a long run is to prove: claims, what was found of each, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Promise", "as_table", "broken"]


@dataclass(frozen=True, slots=True)
class Promise:
    claim: str
    found: str
    is_kept: bool


def as_table(promises: Iterable[Promise]) -> list[str]:
    """Return the lines of a table in Markdown."""
    return [
        "| Promise | Found | Kept |",
        "| --- | --- | --- |",
        *(
            f"| {promise.claim} | {promise.found} | {'yes' if promise.is_kept else '**no**'} |"
            for promise in promises
        ),
    ]


def broken(promises: Iterable[Promise]) -> list[str]:
    """Return the claims that do not hold."""
    return [promise.claim for promise in promises if not promise.is_kept]
