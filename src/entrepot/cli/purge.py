"""``entrepot purge``: lets go of cached content, after a look at what that would take."""

from __future__ import annotations

import sys
from typing import Any

import click

from entrepot.cli.api_client import ApiClient, NotDone
from entrepot.cli.completion import complete_repositories, complete_upstreams
from entrepot.cli.options import api_options, json_option
from entrepot.cli.selections import select, split_tag
from entrepot.cli.tables import clean, counted, print_json, size

__all__ = ["command"]

_EVERY = "*"
_CHANGED = 412
_KINDS = (("repository", "repositories"), ("tag", "tags"), ("manifest", "manifests"), ("blob", "blobs"))
_LONGEST_PURGE = 1900.0
"""Seconds: it is looked at twice and done once, and the cache gives up on each after ten minutes."""


@click.command()
@api_options
@click.option(
    "--upstream",
    metavar="NAME",
    shell_complete=complete_upstreams,
    help="Of this upstream; alone, all of it.",
)
@click.option(
    "--everywhere",
    is_flag=True,
    help="Of every upstream whose repositories match; the IMAGE is then named whole and without one, as"
    " library/alpine.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.argument("image", required=False, metavar="[IMAGE]", shell_complete=complete_repositories)
def command(*, api: ApiClient, dry_run: bool, yes: bool, as_json: bool, **wanted: Any) -> None:
    """Let go of cached tags, repositories or an upstream: the next pull fetches them again.

    An IMAGE is named as in a pull, or as it is listed; without an upstream, it is of the default one. Its
    repository and its tag may be patterns, where * matches slashes
    too: ghcr.io/team/*, nginx:1.2*. Without a tag the whole repository goes. What other repositories
    or tags still need stays.

    What would go is told first, and then it is asked for a yes; where there is no terminal to ask at,
    --yes is needed. Just what was told goes, or nothing if there is something else by then.

    Exit codes: 0 done; 1 there is nothing to purge, or it did not go; 2 wrong usage, or no cache to call.
    """
    selection = _selection(api, **wanted)
    api = api.patient(_LONGEST_PURGE)
    found = api.exchange("POST", "/purge", selection)
    report = found.content
    is_anything = any(report[kind] for kind in ("repositories", "tags", "manifests", "blobs"))
    if not is_anything and not as_json:
        raise NotDone("nothing that is cached is named so")
    if dry_run or not is_anything:
        _tell(report, selection, as_json=as_json)
        click.get_current_context().exit(0 if is_anything else 1)
    if not yes:
        _confirm(report, selection)
    try:
        done = api.exchange("POST", "/purge", {**selection, "dry_run": False}, If_Match=found.headers["etag"])
    except NotDone as failed:
        if failed.status != _CHANGED:
            raise
        raise NotDone("nothing is purged: something else would go by now; try again") from failed
    _tell(done.content, selection, as_json=as_json)


def _selection(
    api: ApiClient, *, image: str | None, upstream: str | None, everywhere: bool
) -> dict[str, Any]:
    if image is None and upstream is None:
        raise click.UsageError("expected an IMAGE, or an --upstream all of which is to go")
    if everywhere and upstream is not None:
        raise click.UsageError("--everywhere and --upstream exclude each other")
    if image is None:
        return {"repositories": _EVERY, "upstream": upstream, "tags": None}
    if everywhere:
        name, tags = split_tag(image)
        return {"repositories": name, "tags": tags}
    found = select(api, image, upstream)
    return {"repositories": found.repositories, "upstream": found.upstream, "tags": found.tags}


def _confirm(report: dict[str, Any], selection: dict[str, Any]) -> None:
    _tell(report, selection, as_json=False, err=True)
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask at: say --yes, or look first with --dry-run")
    if not click.confirm("Purge that?", err=True):
        raise click.exceptions.Exit(1)


def _tell(report: dict[str, Any], selection: dict[str, Any], *, as_json: bool, err: bool = False) -> None:
    if as_json:
        print_json(report)
        return
    for name in report["names"]:
        click.echo(clean(name), err=err)
    named = report["tags"] or report["repositories"]
    if named > len(report["names"]):
        click.echo(f"... and {named - len(report['names'])} more", err=err)
    verb = "would go" if report["dry_run"] else "purged"
    # Repositories of which tags are chosen stay, with what their other tags mean.
    kinds = _KINDS if selection["tags"] is None else _KINDS[1:]
    told = ", ".join(counted(report[nouns], noun, nouns) for noun, nouns in kinds)
    click.echo(f"{verb}: {told}, {size(report['size'])}", err=err)
