"""What shells offer where a name of the cache's is wanted: what the cache that is meant answers now."""

from __future__ import annotations

from typing import Any

import click

from entrepot.cli.api_client import connect
from entrepot.errors import EntrepotError

__all__ = ["complete_jobs", "complete_repositories", "complete_upstreams"]

_MOST = 100
_SECONDS = 2.0
"""Whoever has pressed a key does not wait long."""


def complete_upstreams(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    return _beginning(incomplete, [row["name"] for row in _ask(context, "/upstreams", {})])


def complete_jobs(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    rows = _ask(context, "/jobs", {"search": incomplete, "page_size": _MOST})
    return _beginning(incomplete, [row["name"] for row in rows])


def complete_repositories(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Offer names by how they begin, or else by how a part of them does: people leave out the upstream."""
    rows = _ask(context, "/repositories", {"search": incomplete, "page_size": _MOST})
    names = [row["repository"] for row in rows]
    return _beginning(incomplete, names) or [name for name in names if f"/{incomplete}" in name]


def _beginning(incomplete: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _ask(context: click.Context, path: str, query: dict[str, Any]) -> list[Any]:
    """Offer nothing where there is no cache to ask: a shell has no place for complaints."""
    options = (context.params.get(name) for name in ("file", "url", "token_file", "ca_file"))
    try:
        rows: list[Any] = connect(*options, within=_SECONDS).call("GET", path, query=query)
    except (click.ClickException, EntrepotError, OSError):
        return []
    return rows
