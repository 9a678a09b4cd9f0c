"""Says of endpoints and upstreams that fail what is wrong, once, and what can be done about it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

__all__ = ["happened", "reason_of", "split_advice", "standing"]


def split_advice(failure: str) -> tuple[str, str]:
    """Part what happened from what to do about it, which is empty where the failure tells none."""
    found, _, advice = failure.partition("; ")
    return found, advice


def happened(url: str, found: str) -> str:
    """Say of an endpoint what happened, which mostly begins with its host already."""
    host = urlsplit(url).netloc
    return f"{url}{found.removeprefix(host)}" if found.startswith(f"{host} ") else f"{url}: {found}"


def standing(upstream: dict[str, Any]) -> str:
    """Tell the state of an upstream; one that is up, but failed when it was last asked, is failing."""
    working = [one for one in upstream["endpoints"] if one["state"] == upstream["state"]]
    is_failing = upstream["state"] == "up" and all(one["last_failure"] for one in working)
    return "failing" if working and is_failing else str(upstream["state"])


def reason_of(upstream: dict[str, Any]) -> str:
    """Tell in a few words why an upstream does not work; nothing where it does."""
    if standing(upstream) != "up":
        failing = (one for one in upstream["endpoints"] if one["last_failure"])
        return next((happened(one["url"], split_advice(one["last_failure"])[0]) for one in failing), "")
    return str(upstream["credential_refusal"] or "")
