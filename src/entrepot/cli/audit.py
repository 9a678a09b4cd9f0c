"""``entrepot audit``: who asked what of the cache, and who did what to it."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import click

from entrepot.cli.api_client import ApiClient
from entrepot.cli.completion import complete_repositories, complete_upstreams
from entrepot.cli.options import api_options, json_option
from entrepot.cli.tables import clean, print_json, size
from entrepot.cli.waiting import looks, until_interrupted

__all__ = ["command"]

_AUDIT = "/audit"
_SECONDS_BETWEEN_LOOKS = 1.0
_LATE = timedelta(seconds=5)
"""Entries are told when their answers have ended, so that some come a little after later ones."""
_LARGEST_PAGE = 500
_SPAN = re.compile(r"(\d{1,9})(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_EVENTS: dict[str, list[str]] = {
    "": ["pull", "action"],
    "pull": ["pull"],
    "request": ["request"],
    "action": ["action"],
    "any": [],
}
_NEXT = re.compile(r'<([^>]*)>; rel="next"')


class _Moment(click.ParamType[str]):
    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return RFC 3339; a span of time, as ``1h``, is so long ago."""
        try:
            if span := _SPAN.fullmatch(value):
                ago = timedelta(seconds=int(span[1]) * _SECONDS[span[2]])
                return _written(datetime.now(UTC) - ago)
            moment = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(
                f"expected a time, as 2026-01-31T12:00:00Z, or how long ago, as 1h, found {value!r}",
                param,
                ctx,
            )
        return _written(moment if moment.tzinfo else moment.astimezone())


@click.command()
@api_options
@click.option(
    "--since", metavar="TIME", type=_Moment(), help="Not before: 1h for an hour ago, or 2026-01-31T12:00:00Z."
)
@click.option("--until", metavar="TIME", type=_Moment(), help="Not after.")
@click.option(
    "--repository",
    metavar="REPOSITORY",
    shell_complete=complete_repositories,
    help="Of this repository, named as in a pull or as it is listed; without an upstream, of --upstream or of"
    " the default one.",
)
@click.option("--upstream", metavar="NAME", shell_complete=complete_upstreams, help="Of this upstream.")
@click.option("--caller", metavar="NAME", help="Of this user, or address.")
@click.option(
    "--event",
    type=click.Choice(list(_EVENTS)[1:]),
    help="Pulls, all requests, what was done to the cache, or any; without it, pulls and what was done.",
)
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 100_000), default=50, help="The last so many; 50."
)
@click.option("--follow", is_flag=True, help="Go on showing what comes, until Ctrl-C.")
@json_option
def command(
    *, api: ApiClient, event: str | None, limit: int, follow: bool, as_json: bool, **query: Any
) -> None:
    """Show the last entries of the audit log, the newest last: pulls, and what was done to the cache.

    A pull is a request of a manifest or a blob. Probes, and calls of the API, these commands among them,
    are requests too. Times without a zone are local ones. What looks into the audit log is not followed.

    Exit codes: 0 done; 1 the cache failed; 2 wrong usage, or no cache to call; 130 interrupted.
    """
    told, query["event"] = _nothing(event, query), _EVENTS[event or ""]
    with until_interrupted():
        last = list(_newest_first(api, query, limit))[::-1]
        _print(last, as_json=as_json)
        if not (last or follow or as_json):
            click.echo(clean(told), err=True)
        if follow:
            _follow(api, query, last, as_json=as_json)


def _nothing(event: str | None, query: dict[str, Any]) -> str:
    """Say what was looked for, so that whoever misspelt it sees it."""
    sought = "entry" if event == "any" else event or "pull or action"
    told = ", ".join(f"{name} {value}" for name, value in query.items() if value is not None)
    return f"the audit log has no {sought} {f'with {told}' if told else 'yet'}"


def _newest_first(api: ApiClient, query: dict[str, Any], most: int) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while most > 0:
        asked = {**query, "page_size": min(most, _LARGEST_PAGE), "cursor": cursor}
        page = api.exchange("GET", _AUDIT, query=asked)
        yield from page.content[:most]
        most -= len(page.content)
        following = _NEXT.search(page.headers.get("link", ""))
        if following is None:
            return
        cursor = dict(parse_qsl(urlsplit(following[1]).query)).get("cursor")


def _follow(api: ApiClient, query: dict[str, Any], last: list[dict[str, Any]], *, as_json: bool) -> None:
    told = deque(map(repr, last), maxlen=10_000)
    newest = max((entry["time"] for entry in last), default=_written(datetime.now(UTC) - _LATE))
    left_out = newest if last else ""  # Up to here --limit has left out what is not among the last.
    for _ in looks(_SECONDS_BETWEEN_LOOKS):
        since = _written(datetime.fromisoformat(newest) - _LATE)
        found = list(_newest_first(api, {**query, "since": since}, told.maxlen or 0))[::-1]
        known = set(told)
        fresh = [entry for entry in found if repr(entry) not in known]
        told.extend(map(repr, fresh))
        _print(
            (entry for entry in fresh if entry["time"] > left_out and not _is_look(entry)), as_json=as_json
        )
        newest = max([newest, *(entry["time"] for entry in fresh)])
        left_out = ""


def _is_look(entry: dict[str, Any]) -> bool:
    """Tell whether it is such a look as these, each of which would be the next one's news."""
    return entry.get("method") == "GET" and str(entry.get("path")).endswith(_AUDIT)


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _print(entries: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    for entry in entries:
        if as_json:
            print_json(entry)
        else:
            click.echo(clean(_request(entry) if entry["event"] == "request" else _action(entry)))


def _request(entry: dict[str, Any]) -> str:
    took = f"{entry['duration_seconds'] * 1000:.0f} ms"
    words = [*_who(entry), entry["method"], entry["path"], str(entry["status"])]
    words += [entry.get("cache", "-"), size(entry["size"]), took, _quoted(entry.get("user_agent", "-"))]
    return " ".join([*words, *_reason(entry)])


def _action(entry: dict[str, Any]) -> str:
    named = [entry[key] for key in ("upstream", "repository", "reference") if entry.get(key)]
    detail = [
        f"{name}={json.dumps(value) if isinstance(value, bool) else value}"
        for name, value in (entry.get("detail") or {}).items()
        if value is not None
    ]
    return " ".join([*_who(entry), entry["action"], *named, *detail, *_reason(entry)])


def _who(entry: dict[str, Any]) -> list[str]:
    return [entry["time"], entry.get("remote") or "-", entry.get("user") or "-"]


def _reason(entry: dict[str, Any]) -> list[str]:
    return [f"({entry['reason']})"] if entry.get("reason") else []


def _quoted(text: str) -> str:
    return f'"{text}"'
