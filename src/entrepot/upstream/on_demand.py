"""The transport, made when an upstream is first asked: its library would take a fifth of every start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module

from entrepot.config.schema import UpstreamSettings
from entrepot.upstream.tls import TlsContexts
from entrepot.upstream.transport import Ask, Response, Transport

__all__ = ["TransportOnDemand", "load_transport"]

_MODULE = "entrepot.upstream.aiohttp_transport"


async def load_transport() -> None:
    """Import the library, in a thread, so that whoever asks first does not wait for it."""
    await asyncio.to_thread(import_module, _MODULE)


class TransportOnDemand:
    """Asks as ``AiohttpTransport`` does.

    Raises ``SettingsInvalid`` when a file of the TLS settings is of no use: at the start, not when asked.
    """

    def __init__(self, settings: UpstreamSettings, endpoint_hosts: frozenset[str], via: str | None) -> None:
        self._settings = settings
        self._endpoint_hosts = endpoint_hosts
        self._via = via
        self._tls = TlsContexts(settings)
        self._transport: Transport | None = None

    def request(self, ask: Ask) -> AbstractAsyncContextManager[Response]:
        return self._first_request(ask) if self._transport is None else self._transport.request(ask)

    async def close(self) -> None:
        if self._transport is not None:
            await self._transport.close()

    @asynccontextmanager
    async def _first_request(self, ask: Ask) -> AsyncIterator[Response]:
        await load_transport()
        if self._transport is None:  # Others may have asked meanwhile.
            make = import_module(_MODULE).AiohttpTransport
            self._transport = make(self._settings, self._endpoint_hosts, self._via, self._tls)
        async with self._transport.request(ask) as response:
            yield response
