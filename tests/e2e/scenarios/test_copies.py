"""The count gate's other half: what is served from the disk never passes through Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from entrepot.app import Application
from entrepot.config.schema import Settings, UpstreamSettings
from entrepot.http.server.serve import Server
from entrepot.oci.digest import Digest
from entrepot.testing.exchange import Reply, ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.ports import free_port
from entrepot.testing.waiting import until

LAYER = pattern("copies", 24 << 20)
DIGEST = Digest.of(LAYER)
BLOB = f"/v2/library/app/blobs/{DIGEST}"
HEAD = 1024  # No head of an answer is longer.


class Counted:
    """The cache within this process, where its server's counters can be read."""

    def __init__(self, url: str, server: Server) -> None:
        self._url = url
        self._server = server

    async def ask(self, **headers: str) -> tuple[Reply, int, int]:
        """Return the answer, its bytes that were sent from Python and those that were sent by the kernel."""
        sent, by_kernel = self._server.bytes_sent, self._server.bytes_sent_by_sendfile
        reply = await asyncio.to_thread(ask, self._url, BLOB, headers=headers)
        # What a thread has sent is counted when the event loop hears of it: perhaps after the client does.
        await until(lambda: self._server.connections == 0, "the end of the answer")
        by_kernel = self._server.bytes_sent_by_sendfile - by_kernel
        return reply, self._server.bytes_sent - sent - by_kernel, by_kernel


@pytest.fixture
async def counted(folder: Path, upstream: FakeRegistry) -> AsyncIterator[Counted]:
    upstream.content.add_image("library/app", "1", layers=[LAYER])
    port = free_port()
    settings = Settings(
        listen=f"127.0.0.1:{port}", upstreams={"docker.io": UpstreamSettings(endpoints=(upstream.url,))}
    )
    application = Application(settings, folder)
    await application.start()
    yield Counted(f"http://127.0.0.1:{port}", application._server)
    await application.stop()


async def test_a_hit_is_sent_by_the_kernel_to_the_last_byte(counted: Counted) -> None:
    await counted.ask()
    reply, copied, by_kernel = await counted.ask()
    assert (reply.whole, reply.digest) == (True, DIGEST)
    assert by_kernel == len(LAYER)
    assert copied < HEAD


async def test_a_range_of_a_hit_is_sent_by_the_kernel(counted: Counted) -> None:
    await counted.ask()
    reply, copied, by_kernel = await counted.ask(Range="bytes=1000000-9999999")
    assert reply.body == LAYER[1_000_000:10_000_000]
    assert by_kernel == 9_000_000
    assert copied < HEAD


async def test_a_cold_blob_is_sent_by_the_kernel_as_it_grows(counted: Counted) -> None:
    reply, copied, by_kernel = await counted.ask()
    assert (reply.whole, reply.digest) == (True, DIGEST)
    assert by_kernel == len(LAYER)
    assert copied < HEAD
