"""``entrepot tags``: the tags of a repository that are cached, and what they mean."""

from __future__ import annotations

import click

from entrepot.cli.api_client import ApiClient
from entrepot.cli.image_names import repository_argument
from entrepot.cli.options import api_options, json_option, limit_option, search_option
from entrepot.cli.tables import ago, print_json, print_table, short, size

__all__ = ["command"]

_ORDERS = {"name": "tag", "checked": "-checked_at"}


@click.command()
@api_options
@search_option
@click.option(
    "--sort", type=click.Choice(list(_ORDERS)), default="name", help="By name, or the last checked first."
)
@limit_option
@json_option
@repository_argument
def command(
    *, api: ApiClient, search: str, sort: str, limit: int | None, as_json: bool, repository: str
) -> None:
    """List the cached tags of a repository, and when the upstream last said what they mean.

    A REPOSITORY is named as in a pull, or as it is listed; without an upstream, it is of the default one.

    Exit codes: 0 done; 1 there are none; 2 wrong usage, or no cache to call.
    """
    query = {"repository": repository, "search": search, "sort": _ORDERS[sort]}
    rows = list(api.rows("/tags", query, limit))
    if as_json:
        print_json(*rows)
    else:
        cells = [
            (
                row["tag"],
                short(row["digest"]),
                size(row["size"]),
                ago(row["checked_at"]),
                row["media_type"] or "?",
            )
            for row in rows
        ]
        headings = ("TAG", "DIGEST", "MANIFEST", "CHECKED", "MEDIA TYPE")
        print_table(headings, cells, nothing=f"no {'such ' if search else ''}tag of {repository} is cached")
    click.get_current_context().exit(0 if rows else 1)
