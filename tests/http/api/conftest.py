"""The whole cache on loopback before a scripted upstream, and an administrator who calls its API."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from entrepot.app import Application
from entrepot.config.schema import AdminSettings, LogSettings, Settings, UpstreamSettings
from entrepot.config.secret import Secret
from entrepot.telemetry.events import Events
from entrepot.testing.exchange import Reply, ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.ports import free_port
from entrepot.testing.waiting import PATIENCE

__all__ = ["TOKEN", "Office", "problem", "running"]

TOKEN = Secret("the administrator's own")


@dataclass
class Office:
    url: str
    folder: Path
    registry: FakeRegistry
    events: Events

    async def call(self, path: str, method: str = "GET", body: object = None, **headers: str) -> Reply:
        """Call the API as the administrator; ``headers`` with ``_`` for ``-``."""
        given = {"Authorization": f"Bearer {TOKEN.reveal()}"}
        if body is not None:
            given["Content-Type"] = "application/json"
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else msgspec.json.encode(body)
        return await self.ask(f"/api/v1{path}", method, given, content)

    async def get(self, path: str) -> Any:
        """Return what the API answers, which must be a 200."""
        reply = await self.call(path)
        assert reply.status == 200, reply.body
        return msgspec.json.decode(reply.body)

    async def post(self, path: str, body: object = None) -> Any:
        reply = await self.call(path, "POST", body)
        assert reply.status == 200, reply.body
        return msgspec.json.decode(reply.body)

    async def ask(
        self,
        path: str,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> Reply:
        return await asyncio.to_thread(
            lambda: ask(self.url, path, method=method, headers=headers, body=content)
        )

    async def ask_link(self, reply: Reply, relation: str) -> Reply:
        """Follow a link of an answer."""
        (target,) = re.findall(rf'<([^>]*)>; rel="{relation}"', reply.headers["link"])
        return await self.call(target.removeprefix("/api/v1"))

    async def eventually(self, path: str, count: int = 1) -> Any:
        """Return what the API answers once that is so many things."""
        return await self.get_when(path, lambda found: len(found) >= count)

    async def get_when(self, path: str, holds: Callable[[Any], object]) -> Any:
        """Return what the API answers once that is as it should become."""
        deadline = time.monotonic() + PATIENCE
        while not holds(found := await self.get(path)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} is still {found}")
            await asyncio.sleep(0.005)
        return found

    async def settle(self) -> None:
        """Wait until every fill has ended and is recorded."""
        await self.get_when("/fills", lambda fills: not fills)

    async def pull(self, path: str) -> bytes:
        reply = await self.ask(f"/v2/{path}")
        assert reply.status == 200, reply.body
        return reply.body


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with running(tmp_path) as office:
        yield office


@asynccontextmanager
async def running(
    folder: Path, docker: Mapping[str, Any] | None = None, **others: Any
) -> AsyncIterator[Office]:
    """Run the cache on a folder; settings of its first upstream may be given, and others."""
    port, events = free_port(), Events()
    async with FakeRegistry() as registry:
        upstreams = {
            "docker.io": UpstreamSettings(endpoints=(registry.url,), **(docker or {})),
            "quay.test": UpstreamSettings(
                endpoints=("http://127.0.0.1:9",), username="me", password=Secret("hidden")
            ),
        }
        settings = Settings(
            listen=f"127.0.0.1:{port}",
            upstreams=upstreams,
            admin=AdminSettings(token=TOKEN),
            log=LogSettings(access=False),
            **others,
        )
        application = Application(settings, folder, None, events)
        await application.start()
        yield Office(f"http://127.0.0.1:{port}", folder, registry, events)
        await application.stop()


def problem(reply: Reply) -> Any:
    """Return the problem that an answer is."""
    assert reply.headers["content-type"] == "application/problem+json"
    details = msgspec.json.decode(reply.body)
    assert details["status"] == reply.status
    return details
