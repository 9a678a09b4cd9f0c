"""Long lists in pages: ``n`` and ``last``, and the Link to the next page (distribution-spec; RFC 8288)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from urllib.parse import urlencode

from msgspec import Struct

__all__ = ["InvalidPageSize", "PageRequest", "next_link", "paginate", "parse_next_link", "parse_page"]

_PAGE_SIZE = re.compile(r"[0-9]{1,9}")
_VALUE = r'(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*)'
_PARAMETER = re.compile(rf"\s*;\s*([^\s=;,]+)(?:\s*=\s*({_VALUE}))?")
_LINK = re.compile(rf"<([^<>]*)>((?:{_PARAMETER.pattern})*)")


class InvalidPageSize(ValueError):
    """``n`` is no number of results: PAGINATION_NUMBER_INVALID."""


class PageRequest(Struct, frozen=True):
    """``size``: most items wanted, ``None`` for all; ``last``: the item before them, empty at the start."""

    size: int | None = None
    last: str = ""


def parse_page(n: str | None, last: str | None) -> PageRequest:
    """Read the query parameters; raise ``InvalidPageSize`` for an ``n`` that is no small natural number."""
    if n is not None and _PAGE_SIZE.fullmatch(n) is None:
        raise InvalidPageSize(n[:32])
    return PageRequest(None if n is None else int(n), last or "")


def paginate(items: Sequence[str], page: PageRequest) -> tuple[Sequence[str], str | None]:
    """Cut a page out of sorted ``items``; return it and the ``last`` of the next, ``None`` at the end.

    A page of no items is the end of the list, for asking on would never end.
    """
    start = bisect_right(items, page.last) if page.last else 0
    stop = len(items) if page.size is None else start + page.size
    cut = items[start:stop]
    return cut, cut[-1] if cut and stop < len(items) else None


def next_link(path: str, size: int, last: str, namespace: str | None = None) -> str:
    """Write the Link header to the page behind ``last``; ``namespace`` is the request's ``ns``, kept."""
    query = {"n": str(size), "last": last} | ({"ns": namespace} if namespace else {})
    return f'<{path}?{urlencode(query)}>; rel="next"'


def parse_next_link(header: str) -> str | None:
    """Return the target of the link to the next page: a URL as it was sent, often without a host."""
    for target, parameters, *_ in _LINK.findall(header):
        for name, value in _PARAMETER.findall(parameters):
            if name.lower() == "rel" and "next" in value.strip('"').lower().split():
                return str(target)
    return None
