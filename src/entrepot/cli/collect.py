"""``entrepot collect``: makes what is due to go, go now."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import click

from entrepot.cli.api_client import ApiClient
from entrepot.cli.jobs import await_end
from entrepot.cli.options import api_options, json_option
from entrepot.cli.tables import counted, print_json, size

__all__ = ["command"]


@click.command()
@api_options
@json_option
def command(*, api: ApiClient, as_json: bool) -> None:
    """Have go now what is due to go: what has expired, what is nobody's, what there is no room for.

    Exit codes: 0 done; 1 not all could be done, or it is being done already; 2 wrong usage, or no cache
    to call; 130 interrupted, and the cache goes on.
    """
    answer = api.exchange("POST", "/cache/collect")
    told: dict[str, Any] = answer.content
    if answer.status == HTTPStatus.ACCEPTED:  # It takes longer than an answer may.
        job = await_end(api, told["name"])
        told = {**job["counts"], "reason": job["reason"]}
    if as_json:
        print_json(told)
    else:
        _tell(told)
    click.get_current_context().exit(1 if told["reason"] else 0)


def _tell(told: dict[str, Any]) -> None:
    counts = {name: told.get(name, 0) for name in ("bytes", "blobs", "manifests", "spools", "swept")}
    click.echo(
        f"gone: {counted(counts['blobs'], 'blob')}, {counted(counts['manifests'], 'manifest')},"
        f" {counted(counts['spools'], 'download')} left behind, {counted(counts['swept'], 'file')} of nobody;"
        f" {size(counts['bytes'])} in all"
    )
    if told["reason"]:
        click.echo(f"failed: {told['reason']}", err=True)
