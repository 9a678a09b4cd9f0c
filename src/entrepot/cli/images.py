"""``entrepot images``: the repositories of which something is cached."""

from __future__ import annotations

from urllib.parse import quote

import click

from entrepot.cli.api_client import ApiClient
from entrepot.cli.completion import complete_upstreams
from entrepot.cli.options import api_options, json_option, limit_option, search_option
from entrepot.cli.tables import ago, print_json, print_table, size

__all__ = ["command"]

_ORDERS = {"name": "repository", "size": "-size", "used": "-last_used_at", "unused": "last_used_at"}


@click.command()
@api_options
@search_option
@click.option(
    "--sort",
    type=click.Choice(list(_ORDERS)),
    default="name",
    help="By name, the largest first, the last used first, or the longest unused first.",
)
@limit_option
@json_option
@click.argument("upstream", required=False, metavar="[UPSTREAM]", shell_complete=complete_upstreams)
def command(
    *, api: ApiClient, search: str, sort: str, limit: int | None, as_json: bool, upstream: str | None
) -> None:
    """List the cached repositories, of all upstreams or one, with their size and last use.

    Layers that repositories share count in each of them.

    Exit codes: 0 done; 1 the cache failed, or there is no such upstream; 2 wrong usage, or no cache to call.
    """
    query = {"upstream": upstream, "search": search, "sort": _ORDERS[sort]}
    rows = list(api.rows("/repositories", query, limit))
    if upstream is not None and not rows:
        api.call("GET", f"/upstreams/{quote(upstream, safe='')}")  # Which fails where there is none.
    if as_json:
        print_json(*rows)
        return
    cells = [
        (
            row["repository"],
            str(row["tags"]),
            str(row["manifests"]),
            size(row["size"]),
            ago(row["last_used_at"]),
        )
        for row in rows
    ]
    headings = ("REPOSITORY", "TAGS", "MANIFESTS", "SIZE", "LAST USED")
    print_table(
        headings,
        cells,
        nothing="nothing that was asked for is cached" if upstream or search else "nothing is cached yet",
    )
