"""Draws on a terminal with rich; imported where there is one, because that takes its time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

__all__ = ["draw_fills", "draw_table", "showing_warm"]

_STYLES = {
    **dict.fromkeys(("up", "ok", "accepted", "hit", "done", "moved"), "green"),
    **dict.fromkeys(
        ("probing", "failing", "warning", "rate_limited", "timeout", "stale", "running"), "yellow"
    ),
    **dict.fromkeys(("down", "refused", "error", "failed", "problem", "critical"), "bold red"),
}


_GAP = 2
_LONGEST_WHOLE = 20
"""Characters of the longest word that is never torn for the sake of its neighbours."""


def draw_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Fold what is too wide, so that nothing of it is lost; too narrow a terminal gets a value a line."""
    console = Console()
    widths = _fitted([headings, *rows], console.width)
    if widths is None:
        _draw_values(headings, rows, console)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, width in zip(headings, widths, strict=True):
        table.add_column(heading, overflow="fold", width=width)
    for row in rows:
        table.add_row(*map(_styled, row))
    console.print(table)


def draw_fills(
    looks: Iterable[Iterable[Mapping[str, Any]]], name: Callable[[Mapping[str, Any]], str]
) -> None:
    """Show a bar for each fill of the last look; one that is not among them any more has ended."""
    with Progress(*_columns()) as shown:
        tasks: dict[str, TaskID] = {}
        for fills in looks:
            _show({fill["digest"]: fill for fill in fills}, tasks, shown, name)


@contextmanager
def showing_warm() -> Iterator[Callable[[str, int, int | None], None]]:
    """Yield what sets a bar on standard error: its text, and how many bytes of how many are there."""
    with Progress(*_columns(), console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=None)
        yield lambda text, done, size: shown.update(task, description=text, completed=done, total=size)


def _fitted(lines: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """Take room from the column that can best spare it; ``None`` where words would have to be torn."""
    columns = list(zip(*lines, strict=True))
    widths = [max(map(len, column)) for column in columns]
    least = [min(_LONGEST_WHOLE, max(map(len, " ".join(column).split()))) for column in columns]
    while sum(widths) + _GAP * (len(widths) - 1) > room:
        spare = [width - needed for width, needed in zip(widths, least, strict=True)]
        if max(spare) == 0:
            return None
        widths[spare.index(max(spare))] -= 1
    return widths


def _draw_values(headings: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for number, row in enumerate(rows):
        if number:
            table.add_row()
        for heading, cell in zip(headings, row, strict=True):
            if cell:
                table.add_row(heading, _styled(cell))
    console.print(table)


def _styled(cell: str) -> Text:
    return Text(cell, _STYLES.get(cell, ""))


def _columns() -> tuple[ProgressColumn, ...]:
    return TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()


def _show(
    running: Mapping[str, Any],
    tasks: dict[str, TaskID],
    shown: Progress,
    name: Callable[[Mapping[str, Any]], str],
) -> None:
    for digest in tasks.keys() - running.keys():
        shown.remove_task(tasks.pop(digest))
    for digest, fill in running.items():
        if digest not in tasks:
            tasks[digest] = shown.add_task(escape(name(fill)))
        shown.update(tasks[digest], completed=fill["received"], total=fill["size"])
