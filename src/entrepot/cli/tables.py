"""What commands print: tables for people, plain lines for scripts.

On a terminal a table is drawn by rich, which folds what is too wide.  Elsewhere it is plain text
that keeps every name whole, however long, and never has colours.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import click

__all__ = [
    "ago",
    "clean",
    "counted",
    "drawing",
    "moment",
    "percent",
    "print_json",
    "print_pairs",
    "print_table",
    "short",
    "size",
]

_SPANS = ((86400 * 2, 86400, "d"), (3600 * 2, 3600, "h"), (60 * 2, 60, "min"), (0, 1, "s"))
_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")
_SHORT_DIGEST = len("sha256:") + 12


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, nothing: str) -> None:
    """Print rows under their headings, or say on standard error that there is ``nothing``."""
    cells = [[clean(cell) for cell in row] for row in rows]
    if not cells:
        click.echo(nothing, err=True)
    elif sys.stdout.isatty():
        drawing().draw_table(headings, cells)
    else:
        _print_aligned([headings, *cells])


def print_pairs(pairs: Mapping[str, str], indent: str = "  ") -> None:
    """Print names and values beneath each other; what is empty is left out."""
    told = {clean(name): clean(value) for name, value in pairs.items() if value}
    width = max(map(len, told), default=0)
    for name, value in told.items():
        click.echo(f"{indent}{name:<{width}}  {value}")


def print_json(*values: object) -> None:
    for value in values:
        click.echo(json.dumps(value))


def clean(text: str) -> str:
    """Show control characters instead of sending them: names and user agents come from strangers."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def size(count: int | None) -> str:
    """Write bytes in the decimal units that disks and registries are measured in."""
    if count is None:
        return "?"
    number, unit = float(count), "B"
    for larger in _UNITS:
        if number < 999.5:
            break
        number, unit = number / 1000, larger
    return f"{number:.0f} {unit}" if unit == "B" or number >= 99.95 else f"{number:.1f} {unit}"


def counted(number: int, noun: str, nouns: str | None = None) -> str:
    """Write how many there are: ``1 tag``, ``2 tags``."""
    return f"{number} {noun if number == 1 else nouns or f'{noun}s'}"


def percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.1f} %"


def moment(text: str) -> datetime:
    """Read a time as the API writes it."""
    return datetime.fromisoformat(text)


def ago(text: str | None, now: datetime | None = None) -> str:
    """Tell how long ago a time of the API was."""
    if text is None:
        return "never"
    seconds = ((now or datetime.now(UTC)) - moment(text)).total_seconds()
    count, unit = next(
        ((seconds // span, unit) for least, span, unit in _SPANS if seconds >= least), (0, "s")
    )
    return f"{count:.0f} {unit} ago"


def short(digest: str) -> str:
    """Cut a digest for a terminal; elsewhere it stays whole, for scripts."""
    return digest[:_SHORT_DIGEST] if sys.stdout.isatty() else digest


def drawing() -> Any:
    """Import what draws on terminals: rich takes as long to import as all else that scripts wait for."""
    return import_module("entrepot.cli.drawing")


def _print_aligned(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
