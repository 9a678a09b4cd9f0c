"""``entrepot events``: what the cache's log said lately."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from entrepot.cli.api_client import ApiClient
from entrepot.cli.options import api_options, json_option
from entrepot.cli.tables import clean, print_json
from entrepot.cli.waiting import looks, until_interrupted

__all__ = ["command"]

_SECONDS_BETWEEN_LOOKS = 1.0


@click.command()
@api_options
@click.option(
    "--level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"]),
    default="debug",
    help="Those of this severity and above.",
)
@click.option("--event", metavar="WORD", help="Those of this word only, as endpoint_down.")
@click.option("--limit", metavar="N", type=click.IntRange(1, 1000), default=50, help="The last so many; 50.")
@click.option("--follow", is_flag=True, help="Go on showing what comes, until Ctrl-C.")
@json_option
def command(
    *, api: ApiClient, level: str, event: str | None, limit: int, follow: bool, as_json: bool
) -> None:
    """Show the last events of the log, the newest last.

    The cache keeps a thousand; what the setting log.level keeps out of the log is not among them.

    Exit codes: 0 done; 1 the cache failed; 2 wrong usage, or no cache to call; 130 interrupted.
    """
    query = {"level": level, "event": event}
    with until_interrupted():
        last = _print(api.rows("/events", query, limit), as_json=as_json)
        if not (last or follow or as_json):
            click.echo("the log has no such event", err=True)
        for _ in looks(_SECONDS_BETWEEN_LOOKS) if follow else ():
            shown = _print(api.rows("/events", {**query, "after": last}), as_json=as_json)
            last = max(last, shown) if shown or _goes_on(api, last) else 0


def _goes_on(api: ApiClient, last: int) -> bool:
    """Tell whether the cache still counts from where it was: one that was restarted begins again."""
    newest = next(api.rows("/events", most=1), None)
    return newest is not None and newest["number"] >= last


def _print(newest_first: Iterable[dict[str, Any]], *, as_json: bool) -> int:
    """Return the number of the last event, 0 for none."""
    events = list(newest_first)[::-1]
    for event in events:
        if as_json:
            print_json(event)
        else:
            click.echo(_line(event))
    return events[-1]["number"] if events else 0


def _line(event: dict[str, Any]) -> str:
    fields = [f"{name}={_value(value)}" for name, value in event["fields"].items()]
    return clean(" ".join([event["time"], f"{event['level']:<8}", event["event"], *fields]))


def _value(value: Any) -> str:
    is_plain = isinstance(value, str) and value and not set(value) & set(' "=')
    return str(value) if is_plain else json.dumps(value, ensure_ascii=False)
