"""``entrepot upstreams``: how the registries behind the cache are, and whether they answer now."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Any
from urllib.parse import quote

import click

from entrepot.cli.api_client import ApiClient
from entrepot.cli.completion import complete_upstreams
from entrepot.cli.failures import reason_of, standing
from entrepot.cli.options import api_options, json_option
from entrepot.cli.tables import ago, print_json, print_table

__all__ = ["again", "command", "rate_limit_of"]

_AT_ONCE = 8
_HEADINGS = ("UPSTREAM", "STATE", "CREDENTIAL", "RATE LIMIT", "FILLS")


@click.command()
@api_options
@click.option("--test", "is_test", is_flag=True, help="Have the cache ask every endpoint now.")
@json_option
@click.argument("name", required=False, metavar="[NAME]", shell_complete=complete_upstreams)
def command(*, api: ApiClient, is_test: bool, as_json: bool, name: str | None) -> None:
    """Show how the upstreams are, all or the one of that name, or test them.

    One is up; failing, when it failed as it was last asked; down, when it is left alone for a while because
    it failed again and again; or probing, when it is tried again after that.

    Exit codes: 0 done, and every tested endpoint answers and takes its credential; 1 one does not, or
    there is no such upstream; 2 wrong usage, or no cache to call.
    """
    upstreams = (
        list(api.rows("/upstreams")) if name is None else [api.call("GET", f"/upstreams/{_quoted(name)}")]
    )
    if is_test:
        _test(api, [upstream["name"] for upstream in upstreams], as_json=as_json)
    elif as_json:
        print_json(*upstreams)
    elif name is None:
        _print_all(upstreams)
    else:
        _print_endpoints(upstreams[0])


def rate_limit_of(upstream: dict[str, Any]) -> str:
    """Tell how many requests are left, if the upstream told; nothing if it did not."""
    limit = upstream["rate_limit"]
    return f"{limit['remaining']} of {limit['limit']} left, told {ago(limit['told_at'])}" if limit else ""


def again(endpoint: dict[str, Any]) -> str:
    """Tell when an endpoint is asked again."""
    seconds = endpoint["retry_after_seconds"]
    return f"in {ceil(seconds)} s" if seconds else "by the next pull"


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _print_all(upstreams: list[dict[str, Any]]) -> None:
    rows = [(*_cells(one), reason_of(one)) for one in upstreams]
    print_table((*_HEADINGS, "REASON"), rows, nothing="this cache has no upstreams")


def _cells(upstream: dict[str, Any]) -> tuple[str, ...]:
    told = (upstream["name"], standing(upstream), upstream["credential"], rate_limit_of(upstream))
    return (*told, str(upstream["running_fills"]))


def _print_endpoints(upstream: dict[str, Any]) -> None:
    print_table(_HEADINGS, [_cells(upstream)], nothing="")
    click.echo()
    rows = [
        (one["url"], one["state"], again(one), one["last_failure"] or "") for one in upstream["endpoints"]
    ]
    print_table(("ENDPOINT", "STATE", "ASKED AGAIN", "LAST FAILURE"), rows, nothing="it has no endpoints")
    if upstream["credential_refusal"]:
        click.echo(f"\nits credential was refused: {upstream['credential_refusal']}")


def _test(api: ApiClient, names: list[str], *, as_json: bool) -> None:
    def test(name: str) -> list[dict[str, Any]]:
        trials = api.call("POST", f"/upstreams/{_quoted(name)}/test")
        return [{"upstream": name, **trial} for trial in trials]

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        trials = [trial for found in pool.map(test, names) for trial in found]
    if as_json:
        print_json(*trials)
    else:
        rows = [
            (one["upstream"], one["endpoint"], one["outcome"], f"{one['seconds']:.3f} s", one["reason"] or "")
            for one in trials
        ]
        headings = ("UPSTREAM", "ENDPOINT", "OUTCOME", "TOOK", "REASON")
        print_table(headings, rows, nothing="there is nothing to test")
    is_well = all(trial["outcome"] == "ok" for trial in trials)
    click.get_current_context().exit(0 if is_well else 1)
