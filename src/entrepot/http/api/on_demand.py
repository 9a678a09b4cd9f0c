"""The admin API, made when it is first asked for: its framework would take a third of every start."""

from __future__ import annotations

import asyncio
from importlib import import_module

from entrepot.http.api.parts import Parts
from entrepot.http.server.asgi import ASGIApp, Receive, Scope, Send

__all__ = ["ApiOnDemand"]


class ApiOnDemand:
    """Answers as the application that ``application.build_api`` makes, which is imported in a thread."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._application: ASGIApp | None = None
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._turn:
            if self._application is None:
                self._application = await asyncio.to_thread(_make, self._parts)
        await self._application(scope, receive, send)


def _make(parts: Parts) -> ASGIApp:
    application: ASGIApp = import_module("entrepot.http.api.application").build_api(parts)
    return application
