"""Lists of one endpoint, every page of them: tags, and referrers by API or by tag."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from entrepot.errors import NotHere, Refused, RepositoryNotHere, UpstreamDown, UpstreamLoops
from entrepot.oci.digest import Digest
from entrepot.oci.media_type import OCI_INDEX
from entrepot.oci.pagination import parse_next_link
from entrepot.oci.reference import Tag
from entrepot.oci.referrers import EMPTY_INDEX, InvalidIndex, fallback_tag, merge_referrers
from entrepot.upstream.bodies import read_whole
from entrepot.upstream.client import Client, Wish
from entrepot.upstream.endpoint import Endpoint
from entrepot.upstream.manifests import get_manifest

__all__ = ["list_referrers", "list_repositories", "list_tags"]

L = TypeVar("L", bound=msgspec.Struct)

_MOST_PAGES = 1000
_MOST_REPEATED_PAGES = 3  # As pages may be empty where a registry hides what may not be read.
_LARGEST_PAGE = 8 << 20
_LARGEST_LIST = 64 << 20
_PAGE_SIZE = 1000
_QUERY = "%=&/:?~+!$,;'@()*"  # What a query may hold unquoted (RFC 3986, section 3.4).


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class _Repositories(msgspec.Struct):
    repositories: list[str] | None = None


async def list_tags(client: Client, endpoint: Endpoint, repository: str) -> list[str]:
    wish = Wish(repository, f"tags/list?n={_PAGE_SIZE}", "tags", RepositoryNotHere)
    return [tag async for page in _lists(client, endpoint, wish, _Tags) for tag in page.tags or ()]


async def list_repositories(client: Client, endpoint: Endpoint) -> list[str]:
    """List the repositories that can be pulled from the endpoint, by the names that it is asked by."""
    wish = Wish("", f"_catalog?n={_PAGE_SIZE}", "catalog", NotHere)
    pages = _lists(client, endpoint, wish, _Repositories)
    names = [name async for page in pages for name in page.repositories or ()]
    return [own for name in names if (own := endpoint.own_name_of(name)) is not None]


async def list_referrers(client: Client, endpoint: Endpoint, repository: str, digest: Digest) -> bytes:
    """Ask the API or, where there is none, for the tag in its place (distribution-spec, "Referrers Tag")."""
    wish = Wish(repository, f"referrers/{digest}", "referrers", NotHere, headers={"Accept": OCI_INDEX})
    try:
        return merge_referrers([page async for page in _pages(client, endpoint, wish)])
    except (NotHere, Refused, InvalidIndex):
        pass  # Registries without the API answer 404, 403, 405, or 200 with a page for people.
    try:
        fetched = await get_manifest(client, endpoint, repository, Tag(fallback_tag(digest)))
        return merge_referrers([fetched.content])
    except (NotHere, InvalidIndex):
        return EMPTY_INDEX


async def _lists(client: Client, endpoint: Endpoint, wish: Wish, kind: type[L]) -> AsyncIterator[L]:
    async for page in _pages(client, endpoint, wish):
        try:
            yield msgspec.json.decode(page, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UpstreamDown(f"{wish} at {endpoint.host} is no list of {wish.kind}: {error}") from error


async def _pages(client: Client, endpoint: Endpoint, wish: Wish) -> AsyncIterator[bytes]:
    seen: set[str] = set()
    contents: set[int] = set()
    size = 0
    while wish.rest not in seen and len(seen) < _MOST_PAGES and size < _LARGEST_LIST:
        if len(seen) - len(contents) > _MOST_REPEATED_PAGES:
            break
        seen.add(wish.rest)
        async with client.open(endpoint, wish) as response:
            page = await read_whole(response, _LARGEST_PAGE, f"{wish} at {endpoint.host}")
        client.observer.received(wish.kind, len(page))
        size += len(page)
        contents.add(hash(page))
        yield page
        link = parse_next_link(response.headers.get("link", ""))
        if link is None:
            return
        wish = replace(wish, rest=_next_page(wish.rest, link))
    raise UpstreamLoops(f"{wish} at {endpoint.host}: the list has no end")


def _next_page(rest: str, link: str) -> str:
    """Take the query of a link alone: its path is the list's own, and its host what some proxy made of it."""
    query = link.partition("?")[2].partition("#")[0]
    return f"{rest.partition('?')[0]}?{quote(query, safe=_QUERY, errors='replace')}"
