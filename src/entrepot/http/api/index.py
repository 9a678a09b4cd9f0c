"""What is under the API's root, for whoever looks there first."""

from __future__ import annotations

from importlib.metadata import version

from litestar import get
from msgspec import Struct

from entrepot.http.api.prefix import PREFIX

__all__ = ["HANDLERS"]


class Index(Struct):
    """`documentation` is a page to read, `openapi` the same for programs. Both are open to everybody."""

    name: str
    version: str
    documentation: str
    openapi: str


@get("/", include_in_schema=False)
async def get_index() -> Index:
    """Tell where the API is described; that needs no token, and is itself no part of what is described."""
    docs = f"{PREFIX}/docs"
    return Index("entrepot", version("entrepot"), docs, f"{docs}/openapi.json")


HANDLERS = [get_index]
