"""What an application is told of a request: the scope of ASGI."""

from __future__ import annotations

import asyncio
from typing import Any

from entrepot.http.server.asgi import Scope
from entrepot.http.server.requests import Request

__all__ = ["connection_scope", "request_scope"]

_ASGI = {"version": "3.0", "spec_version": "2.4"}
_EXTENSIONS: dict[str, dict[str, str]] = {"http.response.zerocopysend": {}, "entrepot.abort": {}}
_EXTENSIONS_FOR_MORE = _EXTENSIONS | {"entrepot.at_hand": {}}


def connection_scope(transport: asyncio.Transport) -> dict[str, Any]:
    """Gather what the scopes of all requests of a connection share."""
    return {
        "type": "http",
        "asgi": _ASGI,
        "scheme": "http" if transport.get_extra_info("sslcontext") is None else "https",
        "root_path": "",
        "client": _address(transport.get_extra_info("peername")),
        "server": _address(transport.get_extra_info("sockname")),
    }


def request_scope(base: dict[str, Any], request: Request) -> Scope:
    """Make a scope that the application may change."""
    scope = base | request.fields
    scope["headers"] = request.fields["headers"].copy()
    scope["extensions"] = _EXTENSIONS_FOR_MORE if request.came_again and request.keep_alive else _EXTENSIONS
    return scope


def _address(name: tuple[Any, ...] | None) -> tuple[str, int] | None:
    """Host and port; an IPv4 client of a dual-stack socket under its IPv4 address."""
    return None if name is None else (name[0].removeprefix("::ffff:"), name[1])
