"""GET /v2/_catalog: the repositories of which something is cached."""

from __future__ import annotations

import msgspec

from entrepot.engine.listings import Lists
from entrepot.http.call import Call
from entrepot.http.v2.answers import base_headers
from entrepot.oci.pagination import next_link, parse_page

__all__ = ["list_repositories"]

_PAGE = 100
_LARGEST_PAGE = 1000


async def list_repositories(call: Call, upstream: str | None, lists: Lists) -> None:
    """Answer with a page of names: those of one upstream, or of all with the upstream before the name."""
    page = parse_page(call.query("n"), call.query("last"))
    size = min(_PAGE if page.size is None else page.size, _LARGEST_PAGE)
    found = lists.repositories(upstream, page.last, size + 1)
    names = found[:size]
    headers = [(b"content-type", b"application/json"), *base_headers(call)]
    if names and len(found) > size:
        link = next_link(call.scope["path"], size, names[-1], call.query("ns"))
        headers.append((b"link", link.encode()))
    await call.reply(200, headers, msgspec.json.encode({"repositories": names}))
