"""The whole application over a scripted upstream, called as ASGI servers call it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from entrepot.audit.trail import AuditTrail
from entrepot.config.schema import AuditSettings
from entrepot.engine.blobs import Blobs
from entrepot.engine.budget import Budget
from entrepot.engine.eviction import Eviction
from entrepot.engine.fills import Fills
from entrepot.engine.ledger import Ledger
from entrepot.engine.listings import Lists
from entrepot.engine.manifests import Manifests
from entrepot.engine.sites import Site, Sites
from entrepot.engine.tasks import Tasks
from entrepot.engine.uses import Uses
from entrepot.http.face import Face
from entrepot.http.status import Status
from entrepot.http.v2.registry import Registry
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.policy.access import PullRules
from entrepot.policy.budget import Bounds
from entrepot.policy.freshness import Freshness, TagRules
from entrepot.policy.routing import UpstreamTable
from entrepot.storage.disk import FilesystemDisk
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.telemetry.lines import LineWriter
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.scripted_upstream import ScriptedUpstream
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE

__all__ = ["House", "Reply"]


@dataclass
class Reply:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_whole: bool = False
    copied: int = 0
    """Bytes of the body that passed through the program."""

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def code(self) -> str:
        """The one error code of the envelope."""
        (error,) = self.json["errors"]
        assert error["message"]
        return str(error["code"])

    async def take(self, message: Any) -> None:
        match message["type"]:
            case "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
                assert len(self.headers) == len(message["headers"]), "a header is sent twice"
            case "http.response.zerocopysend":
                self.body += os.pread(message["file"], message["count"], message["offset"])
            case "http.response.body":
                self.body += message["body"]
                self.copied += len(message["body"])
                self.is_whole = not message.get("more_body", False)
            case other:
                pytest.fail(f"an unknown message: {other}")


@dataclass
class House:
    folder: Path
    obstacle: str | None = None
    warning: str | None = None
    upstream: ScriptedUpstream = field(default_factory=ScriptedUpstream)
    other: ScriptedUpstream = field(default_factory=ScriptedUpstream)
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(autojump=True))

    def __post_init__(self) -> None:
        self.store = FilesystemBlobs(self.folder)
        self.metadata = SqlMetadata.open(self.folder / "entrepot.db")
        self.metrics = Metrics()
        self.tasks = Tasks(lambda _name, failure: pytest.fail(f"a task failed: {failure!r}"))
        rules = TagRules(Freshness(fresh_for=30, revalidate_within=PATIENCE))
        sites = {
            "docker.io": Site(self.upstream, rules, PullRules(deny=("secret/*",))),
            "quay.test": Site(self.other, rules, PullRules()),
        }
        table = UpstreamTable.build(sites, {"quay.cache.test": "quay.test"}, "docker.io")
        self.sites = Sites(table, sites)
        uses = Uses(self.metadata, self.clock)
        ledger = Ledger(FilesystemDisk(self.folder), self.metadata, self.clock)
        eviction = Eviction(self.store, self.metadata, ledger, uses, self.metrics)
        bounds = Bounds(max_size=None, min_free=0, high=1.0, low=1.0)
        budget = Budget(ledger, eviction, self.tasks, self.clock, lambda _total: bounds)
        self.fills = Fills(self.store, budget, self.clock, self.tasks, self._note, metrics=self.metrics)
        self.manifests = Manifests(self.sites, self.metadata, uses, self.clock, self.metrics, memory=1 << 20)
        self.blobs = Blobs(self.sites, self.store, self.metadata, self.fills, uses)
        self.lists = Lists(self.sites, self.metadata, self.clock)
        registry = Registry(self.sites, self.manifests, self.blobs, self.lists)
        status = Status(lambda: self.obstacle, lambda: self.warning, self.metrics.render)
        self.face = Face(registry, status, self.metrics, None, self.clock)

    def believe(self, limits: Freshness) -> None:
        """Go on with other limits for docker.io."""
        site = Site(self.upstream, TagRules(limits), PullRules())
        self.sites.replace(self.sites.table, {"docker.io": site})

    async def call(
        self,
        path: str,
        method: str = "GET",
        *,
        reply: Reply | None = None,
        extensions: Mapping[str, Any] | None = None,
        **headers: str,
    ) -> Reply:
        target, _, query = path.partition("?")
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http",
            "method": method,
            "path": target,
            "raw_path": target.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "headers": named,
            "client": ("127.0.0.1", 1),
            "extensions": extensions or {},
        }
        reply = reply or Reply()
        await self.face(scope, _receive, reply.take)
        return reply

    async def close(self) -> None:
        await self.tasks.close()
        for part in (self.manifests, self.blobs, self.lists, self.fills, self.metadata):
            await part.close()
        self.store.close()

    async def _note(self, digest: Digest, size: int) -> None:
        await self.metadata.record_stored(digest, size, self.clock.now())


async def _receive() -> Any:
    raise AssertionError("nothing is read of requests")


@pytest.fixture
def logged(house: House) -> Callable[[], list[dict[str, Any]]]:
    """Close the access log and return its lines."""
    stream = BytesIO()
    writer = LineWriter(stream.write, "log")
    silent = AuditSettings(enabled=False)
    house.face._notes._audit = AuditTrail(silent, house.folder, house.clock.now, house.metrics, log=writer)

    def lines() -> list[dict[str, Any]]:
        house.face.flush()
        writer.close()
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    return lines


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    await house.close()
