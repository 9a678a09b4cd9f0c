"""Lists in numbered pages: ``page`` and ``page_size``, ``X-Total-Count`` and ``Link`` (RFC 8288)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Annotated, Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from litestar import Request, Response
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from msgspec import Struct

from entrepot.ports.catalogue import Find

__all__ = [
    "PAGE_HEADERS",
    "PageSize",
    "Paging",
    "SearchText",
    "ThePaging",
    "TheRequest",
    "arranged",
    "cut",
    "link",
    "paged",
    "read_paging",
]

T = TypeVar("T")

_LARGEST = 500
_LAST = 1_000_000

TheRequest: TypeAlias = Request[Any, Any, Any]
PageSize = Annotated[int, QueryParameter(ge=1, le=_LARGEST, description="How many on a page.")]
SearchText = Annotated[str, QueryParameter(max_length=300, description="Only what contains this text.")]

PAGE_HEADERS = [
    ResponseHeader(
        name="X-Total-Count", description="How many there are on all pages.", documentation_only=True
    ),
    ResponseHeader(
        name="Link",
        description="The `first`, `prev`, `next` and `last` page, where there is one.",
        documentation_only=True,
    ),
]


class Paging(Struct, frozen=True):
    page: int
    size: int

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.size

    def find(self, sort: str, text: str = "") -> Find:
        return Find(sort, text, self.offset, self.size)


ThePaging: TypeAlias = NamedDependency[Paging]


def read_paging(
    page: Annotated[int, QueryParameter(ge=1, le=_LAST, description="Which page, from 1.")] = 1,
    page_size: PageSize = 50,
) -> Paging:
    return Paging(page, page_size)


def paged(request: TheRequest, page: Paging, rows: Sequence[T], total: int) -> Response[list[T]]:
    headers = {"X-Total-Count": str(total)}
    if links := _links(request, page, total):
        headers["Link"] = ", ".join(links)
    return Response(list(rows), headers=headers)


def arranged(rows: Iterable[T], sort: str, *then: str) -> list[T]:
    """Sort by a field, with ``-`` before it from the greatest down, then by others; what has none is last."""
    field = attrgetter(sort.removeprefix("-"))
    ordered = sorted(rows, key=attrgetter(*then)) if then else list(rows)
    given = [row for row in ordered if field(row) is not None]
    given.sort(key=field, reverse=sort.startswith("-"))
    return given + [row for row in ordered if field(row) is None]


def cut(request: TheRequest, page: Paging, rows: Sequence[T]) -> Response[list[T]]:
    """Answer with the page of ``rows``, which are all there are."""
    return paged(request, page, rows[page.offset : page.offset + page.size], len(rows))


def _links(request: TheRequest, page: Paging, total: int) -> list[str]:
    last = max(1, -(-total // page.size))
    targets = {"first": 1, "prev": page.page - 1, "next": page.page + 1, "last": last}
    if page.page == 1 == last:
        return []
    return [link(request, name, page=str(at)) for name, at in targets.items() if 1 <= at <= last]


def link(request: TheRequest, relation: str, **changed: str) -> str:
    """Lead to the same with some parameters changed; without a host, of which a proxy may have another."""
    pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    query = [(key, value) for key, value in pairs if key not in changed] + list(changed.items())
    return f'<{quote(request.scope["path"])}?{urlencode(query)}>; rel="{relation}"'
