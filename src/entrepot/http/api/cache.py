"""The cache as a whole: how full it is, how well it serves, and what had to go."""

from __future__ import annotations

from importlib.metadata import version

from litestar import get
from msgspec import Struct

from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.parts import Parts
from entrepot.http.api.problems import problems
from entrepot.policy.permission import Action

__all__ = ["HANDLERS"]

_VERSION = version("entrepot")
_SERVED_FROM_CACHE = ("hit", "revalidated", "stale")


class Served(Struct):
    """Requests since the start: `by_outcome` counts them, `hit_ratio` is the share that moved no content.

    It is `null` before the first request.
    """

    by_outcome: dict[str, int]
    hit_ratio: float | None


class Evicted(Struct):
    """Pieces of content and their bytes that had to go since the start, by the reason."""

    content: dict[str, int]
    bytes: dict[str, int]


class Cache(Struct):
    """Bytes `held` of those `allowed`, by the budget or the disk, with `free` bytes left on the disk.

    Past the `watermark` eviction begins: what stays above it may not be evicted.
    Bytes `sent` to clients and `received` from upstreams are those of manifests and blobs; `version` is
    that of the program.
    """

    version: str
    held: int
    allowed: int
    watermark: int
    free: int
    blobs: int
    manifest_requests: Served
    blob_requests: Served
    sent_bytes: int
    received_bytes: int
    evicted: Evicted


@get("/cache", opt=needs(Action.SEE), responses=problems(), tags=["cache"])
async def get_cache(parts: TheParts) -> Cache:
    """Tell how full the cache is, and what it has done since the start."""
    holdings, metrics = parts.budget.holdings(), parts.metrics
    return Cache(
        version=_VERSION,
        held=holdings.held,
        allowed=holdings.allowed,
        watermark=holdings.watermark,
        free=holdings.free,
        blobs=holdings.blobs,
        manifest_requests=_served("manifest", parts),
        blob_requests=_served("blob", parts),
        sent_bytes=_content(metrics.totals("sent_bytes_total", "kind")),
        received_bytes=_content(metrics.totals("received_bytes_total", "kind")),
        evicted=Evicted(
            metrics.totals("evictions_total", "reason"), metrics.totals("evicted_bytes_total", "reason")
        ),
    )


HANDLERS = [get_cache]


def _content(by_kind: dict[str, int]) -> int:
    return by_kind.get("manifest", 0) + by_kind.get("blob", 0)


def _served(kind: str, parts: Parts) -> Served:
    outcomes = parts.metrics.totals("requests_total", "outcome", kind=kind)
    hits = sum(outcomes.get(outcome, 0) for outcome in _SERVED_FROM_CACHE)
    asked = hits + outcomes.get("miss", 0)
    return Served(outcomes, round(hits / asked, 4) if asked else None)
