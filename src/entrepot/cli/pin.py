"""``entrepot pin``: keeps content from expiry and eviction, and tells what is kept so."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import click

from entrepot.cli.api_client import ApiClient, NotDone
from entrepot.cli.completion import complete_repositories, complete_upstreams
from entrepot.cli.options import api_options, json_option
from entrepot.cli.selections import Selected, select
from entrepot.cli.tables import ago, clean, print_json, print_table

__all__ = ["command", "unpin", "upstream_option"]

upstream_option = click.option(
    "--upstream", metavar="NAME", shell_complete=complete_upstreams, help="Of this upstream."
)


@click.command()
@api_options
@upstream_option
@click.option("--remove", is_flag=True, help="Pin them no longer; as entrepot unpin.")
@json_option
@click.argument("images", nargs=-1, metavar="[IMAGE]...", shell_complete=complete_repositories)
def command(
    *, api: ApiClient, upstream: str | None, remove: bool, as_json: bool, images: tuple[str, ...]
) -> None:
    """Keep images from expiry and eviction, or without any, list what is kept so.

    An IMAGE is named as in a pull, or as it is listed; without an upstream, it is of the default one. Its
    repository and its tag may be patterns, where * matches slashes
    too: ghcr.io/team/*, postgres:16*. Nothing is fetched; what is pulled later is kept too.

    Exit codes: 0 done; 1 there is no such upstream or pin, or it is the configuration's; 2 wrong usage,
    or no cache to call.
    """
    if remove:
        unpin(api, images, upstream, as_json=as_json)
    elif images:
        _pin(api, images, upstream, as_json=as_json)
    else:
        _list(api, upstream, as_json=as_json)


def unpin(api: ApiClient, images: tuple[str, ...], upstream: str | None, *, as_json: bool) -> None:
    """Remove pins, all that can be, and name the others."""
    if not images:
        raise click.UsageError("expected an IMAGE that is pinned")
    failures = 0
    for image in images:
        found = select(api, image, upstream)
        named = {"upstream": found.upstream, "pattern": _pattern(found)}
        try:
            api.call("DELETE", "/pins", query=named)
        except NotDone as failed:
            failures += 1
            click.echo(f"failed: {failed.message}", err=True)
            continue
        if as_json:
            print_json(named)
        else:
            click.echo(clean(f"{found.upstream}/{_pattern(found)} is pinned no longer"))
    click.get_current_context().exit(1 if failures else 0)


def _pin(api: ApiClient, images: tuple[str, ...], upstream: str | None, *, as_json: bool) -> None:
    for found in [select(api, image, upstream) for image in images]:
        body = {"upstream": found.upstream, "pattern": _pattern(found)}
        answer = api.exchange("POST", "/pins", body)
        if as_json:
            print_json(answer.content)
        else:
            told = "is pinned" if answer.status == HTTPStatus.CREATED else "was pinned already"
            click.echo(clean(f"{found.upstream}/{_pattern(found)} {told}"))


def _list(api: ApiClient, upstream: str | None, *, as_json: bool) -> None:
    pins: list[dict[str, Any]] = list(api.rows("/pins", {"upstream": upstream}))
    if as_json:
        print_json(*pins)
        return
    rows = [
        (
            f"{pin['upstream']}/{pin['pattern']}",
            pin["source"],
            ago(pin["created_at"]) if pin["created_at"] else "",
        )
        for pin in pins
    ]
    print_table(("PIN", "SET BY", "SET"), rows, nothing="nothing is pinned")


def _pattern(found: Selected) -> str:
    return found.repositories if found.tags is None else f"{found.repositories}:{found.tags}"
