"""``entrepot fills``: the downloads that run, and how far they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from entrepot.cli.api_client import ApiClient
from entrepot.cli.options import api_options, json_option
from entrepot.cli.tables import ago, clean, drawing, percent, print_json, print_table, short, size
from entrepot.cli.waiting import looks, until_interrupted

__all__ = ["command"]

_SECONDS_BETWEEN_LOOKS = 0.5
_SHOWN_OF_DIGEST = slice(len("sha256:"), len("sha256:") + 8)


@click.command()
@api_options
@click.option("--watch", is_flag=True, help="Go on showing them, until Ctrl-C.")
@json_option
def command(*, api: ApiClient, watch: bool, as_json: bool) -> None:
    """Show the downloads that run, with their progress and speed.

    Exit codes: 0 done; 1 the cache failed; 2 wrong usage, or no cache to call; 130 interrupted.
    """
    with until_interrupted():
        if watch and sys.stdout.isatty() and not as_json:
            drawing().draw_fills(_looks(api), _name)
        for fills in _looks(api):
            _print(fills, as_json=as_json)
            if not watch:
                return


def _looks(api: ApiClient) -> Iterator[list[dict[str, Any]]]:
    for _ in looks(_SECONDS_BETWEEN_LOOKS):
        yield list(api.rows("/fills"))


def _name(fill: Mapping[str, Any]) -> str:
    """Name a fill on a line that is shared with its bar."""
    repository = fill["repositories"][0] if fill["repositories"] else ""
    return f"{clean(repository)} {fill['digest'][_SHOWN_OF_DIGEST]}"


def _print(fills: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(*fills)
        return
    rows = [
        (
            ", ".join(fill["repositories"]),
            short(fill["digest"]),
            percent(fill["received"] / fill["size"] if fill["size"] else None),
            f"{size(fill['received'])} of {size(fill['size'])}",
            f"{size(fill['bytes_per_second'])}/s",
            str(fill["connections"]),
            str(fill["readers"]),
            ago(fill["began_at"]),
        )
        for fill in fills
    ]
    headings = ("REPOSITORY", "DIGEST", "DONE", "BYTES", "SPEED", "CONNECTIONS", "READERS", "BEGAN")
    print_table(headings, rows, nothing="nothing is being downloaded")
