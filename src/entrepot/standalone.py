"""The composition root of what works without a server: content read again, upstreams tried."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from entrepot.config.schema import UpstreamSettings
from entrepot.engine.scrub import Scrub
from entrepot.jobs.clock import SystemClock
from entrepot.metadata.sql import SqlMetadata
from entrepot.ports.blobs import Pace
from entrepot.ports.condition import InspectedUpstream
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.storage.lock import holder_of
from entrepot.telemetry.metrics import Metrics
from entrepot.upstream.registry import RegistryUpstream

__all__ = ["Kept", "holder_of", "scrubbing", "trying"]


class Kept(NamedTuple):
    """``size`` is in bytes, ``upstreams`` are the names of those that content is of."""

    scrub: Scrub
    size: int
    upstreams: list[str]


@asynccontextmanager
async def scrubbing(folder: Path, pace: Pace) -> AsyncGenerator[Kept]:
    """Open the content of a folder to be scrubbed, though a server may run on it."""
    async with AsyncExitStack() as ending:
        store = FilesystemBlobs(folder)
        ending.callback(store.close)
        metadata = SqlMetadata.visit(folder / "entrepot.db")
        ending.push_async_callback(metadata.close)
        yield Kept(Scrub(store, metadata, pace), metadata.stored_bytes(), metadata.upstreams())


@asynccontextmanager
async def trying(name: str, settings: UpstreamSettings) -> AsyncGenerator[InspectedUpstream]:
    """Make an upstream to be tried; raise ``SettingsInvalid`` where its files are of no use."""
    upstream = RegistryUpstream(name, settings, SystemClock(), Metrics())
    try:
        yield upstream
    finally:
        await upstream.close()
