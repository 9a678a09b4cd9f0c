"""``entrepot status``: whether a cache is up, what it holds and does, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from entrepot.cli.api_client import ApiClient
from entrepot.cli.failures import happened, split_advice, standing
from entrepot.cli.options import api_options, json_option
from entrepot.cli.tables import clean, counted, percent, print_json, print_pairs, size
from entrepot.cli.upstreams import again, rate_limit_of

__all__ = ["command", "troubles"]

_LOW_RATE_LIMIT = 0.2
_WRONG_CLOCK_SECONDS = 30.0
_FULL_DISK = 0.02
"""Share of what may be held that is to be left on the disk."""


@click.command()
@api_options
@json_option
def command(*, api: ApiClient, as_json: bool) -> None:
    """Show whether a cache is up, how full it is, what it saves, what it does, and what is wrong.

    Exit codes: 0 it is up; 1 it is up and takes no requests, because it is stopping, or it failed; 2
    wrong usage, or no cache to call.
    """
    ready = api.readiness()
    status = {
        "url": api.url,
        **ready,
        "cache": api.call("GET", "/cache"),
        "upstreams": list(api.rows("/upstreams")),
        "fills": list(api.rows("/fills")),
        "warms": [warm for warm in api.rows("/warms") if warm["state"] == "running"],
    }
    status["troubles"] = list(troubles(status))
    if as_json:
        print_json(status)
    else:
        _print(status)
    click.get_current_context().exit(0 if ready.get("status") == "ready" else 1)


def troubles(status: dict[str, Any]) -> Iterator[str]:
    """Say what is wrong, and what can be done about it."""
    if status.get("reason") or status.get("warning"):
        yield status.get("reason") or status["warning"]
    for upstream in status["upstreams"]:
        yield from _troubles_of(upstream)
    cache = status["cache"]
    if cache["free"] < cache["allowed"] * _FULL_DISK:
        yield f"the disk has {size(cache['free'])} left: make room on it, or set cache.max_size lower"
    if cache["held"] > cache["watermark"]:
        yield (
            f"more is held than the {size(cache['watermark'])} past which content is evicted: if it stays so,"
            " pins leave no more to evict; unpin some, or set cache.max_size higher"
        )


def _troubles_of(upstream: dict[str, Any]) -> Iterator[str]:
    name, limit = upstream["name"], upstream["rate_limit"]
    for endpoint in upstream["endpoints"]:
        if endpoint["state"] != "up" or endpoint["last_failure"]:
            yield f"{name}: {_trouble_of(endpoint)}; to ask again now: entrepot upstreams --test {name}"
    if upstream["credential"] == "refused":
        yield f"{name}: its credential is refused: {upstream['credential_refusal'] or 'check it'}"
    ahead = upstream["clock_ahead_seconds"]
    if ahead is not None and abs(ahead) > _WRONG_CLOCK_SECONDS:
        told = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'}"
        yield f"{name}: the cache's clock is {told} that of the upstream: set it, or tokens are not valid"
    if limit and limit["remaining"] < limit["limit"] * _LOW_RATE_LIMIT:
        yield f"{name}: {rate_limit_of(upstream)}; a credential of your own may raise the limit"


def _trouble_of(endpoint: dict[str, Any]) -> str:
    """Tell what happened, what can be done about it, and whether the endpoint is left alone for it."""
    found, advice = split_advice(endpoint["last_failure"] or "")
    words = [happened(endpoint["url"], found) if found else endpoint["url"]]
    if endpoint["state"] != "up":
        words.append(f"it is {endpoint['state']}, and asked again {again(endpoint)}")
    return "; ".join(filter(None, [*words, advice]))


def _print(status: dict[str, Any]) -> None:
    cache = status["cache"]
    share = cache["held"] / cache["allowed"] if cache["allowed"] else None
    saved = max(0, cache["sent_bytes"] - cache["received_bytes"])
    of_sent = saved / cache["sent_bytes"] if cache["sent_bytes"] else None
    click.echo(clean(f"entrepot {cache['version']} at {status['url']} is {status['status']}"))
    print_pairs(
        {
            "holds": f"{size(cache['held'])} of {size(cache['allowed'])} ({percent(share)}), "
            f"{counted(cache['blobs'], 'blob')}; {size(cache['free'])} free on the disk",
            "hits": f"manifests {percent(cache['manifest_requests']['hit_ratio'])}, "
            f"blobs {percent(cache['blob_requests']['hit_ratio'])} of requests since the start",
            "saved": f"{size(saved)} ({percent(of_sent)}): "
            f"{size(cache['sent_bytes'])} sent, {size(cache['received_bytes'])} received",
            "evicted": _evicted(cache["evicted"]),
            "upstreams": _upstreams(status["upstreams"]),
            "fills": _fills(status["fills"]),
            "warms": ", ".join(_warm(warm) for warm in status["warms"]),
        }
    )
    for trouble in status["troubles"]:
        click.echo(clean(f"! {trouble}"))


def _evicted(evicted: dict[str, Any]) -> str:
    gone = sum(evicted["content"].values())
    return f"{counted(gone, 'piece')} of content, {size(sum(evicted['bytes'].values()))}" if gone else ""


def _upstreams(upstreams: list[dict[str, Any]]) -> str:
    others = [f"{one['name']} {standing(one)}" for one in upstreams if standing(one) != "up"]
    return ", ".join([f"{len(upstreams) - len(others)} of {len(upstreams)} up", *others])


def _fills(fills: list[dict[str, Any]]) -> str:
    speed = sum(fill["bytes_per_second"] for fill in fills)
    return f"{len(fills)} running, {size(speed)}/s" if fills else ""


def _warm(warm: dict[str, Any]) -> str:
    return f"{warm['id']} has {warm['warmed']} of {warm['images']} images"
