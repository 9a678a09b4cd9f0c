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


def draw_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Fold what is too wide, so that nothing of it is lost."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in row))
    Console().print(table)


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
