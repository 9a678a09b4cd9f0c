"""GET /v2/<name>/tags/list."""

from __future__ import annotations

import msgspec

from entrepot.engine.listings import Lists
from entrepot.http.call import Call
from entrepot.http.v2.answers import base_headers, stale_headers
from entrepot.oci.pagination import next_link, paginate, parse_page
from entrepot.oci.reference import Repository

__all__ = ["list_tags"]


async def list_tags(call: Call, repository: Repository, name: str, lists: Lists) -> None:
    """Answer with a page of the tags; ``name`` is the repository as the client called it."""
    page = parse_page(call.query("n"), call.query("last"))
    answer = await lists.tags(repository)
    call.cache = answer.cache
    tags, last = paginate(answer.value, page)
    headers = [(b"content-type", b"application/json"), *base_headers(call), *stale_headers(answer.age)]
    if last is not None:
        link = next_link(call.scope["path"], page.size or len(tags), last, call.query("ns"))
        headers.append((b"link", link.encode()))
    await call.reply(200, headers, msgspec.json.encode({"name": name, "tags": tags}))
