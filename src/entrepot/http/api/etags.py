"""Conditional changes: an ETag names what was seen, If-Match changes nothing else (RFC 9110, 13.1.1)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, TypeVar

from litestar import Response
from litestar.exceptions import HTTPException
from litestar.params import HeaderParameter

from entrepot.oci.conditional import etag_matches

__all__ = ["IfMatch", "check_match", "tagged"]

T = TypeVar("T")

IfMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", max_length=4096, description="Do it only to what still has this ETag."),
]


def tagged(content: T, version: str) -> Response[T]:
    return Response(content, headers={"ETag": f'"{version}"'})


def check_match(if_match: str, version: str) -> None:
    """Raise a 412 where the header names another version."""
    if not etag_matches(if_match, f'"{version}"'):
        raise HTTPException(
            detail=f'it has changed: its ETag is "{version}" now', status_code=HTTPStatus.PRECONDITION_FAILED
        )
