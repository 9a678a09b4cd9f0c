"""Follows redirects, for requests of registries and of their token services alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urljoin

from entrepot.errors import UpstreamDown, UpstreamLoops
from entrepot.upstream.bodies import read_start
from entrepot.upstream.endpoint import host_of, origin_of
from entrepot.upstream.transport import Ask, Response, Transport

__all__ = ["followed"]

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@asynccontextmanager
async def followed(
    transport: Transport, url: str, ask: Callable[[str], Ask], what: str
) -> AsyncIterator[tuple[Response, str]]:
    """Hold the first answer open that is no redirect, with the URL that it is of.

    ``ask`` says how to ask there; ``what`` is asked for.  Raises ``UpstreamLoops`` where no end is in sight.
    """
    visited = set[str]()
    while url not in visited and len(visited) <= _MOST_REDIRECTS:
        visited.add(url)
        async with transport.request(ask(url)) as response:
            if response.status not in _REDIRECTS:
                yield response, url
                return
            await read_start(response)
            url = _target(url, response.headers.get("location", ""))
    trouble = "redirects in a circle" if url in visited else f"more than {_MOST_REDIRECTS} redirects"
    raise UpstreamLoops(f"{what}: {trouble}; is the address right?")


def _target(url: str, location: str) -> str:
    """Resolve a Location; its signature must survive, so no character of it is quoted anew."""
    try:
        target = urljoin(url, location)
        origin = origin_of(target)
    except ValueError:
        origin = ("", "", None)
        target = location
    is_plain = target.isascii() and target.isprintable() and " " not in target
    if not location or not is_plain or origin[0] not in ("http", "https") or not origin[1]:
        unsigned = location.partition("?")[0][:100]
        raise UpstreamDown(f"{host_of(url)} redirects to nowhere: {unsigned!r}")
    return target
