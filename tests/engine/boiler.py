"""A depot with everything that warms need."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.engine.conftest import Depot

from entrepot.engine.blobs import Blobs
from entrepot.engine.listings import Lists
from entrepot.engine.manifests import Manifests
from entrepot.engine.sites import Site, Sites
from entrepot.engine.warming import Extent, Warming
from entrepot.engine.warms import Warm, Warms, WarmState
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.oci.platform import parse_platform
from entrepot.oci.reference import Reference
from entrepot.policy.access import PullRules
from entrepot.policy.freshness import Freshness, TagRules
from entrepot.policy.routing import UpstreamTable
from entrepot.policy.wanted import Wanted
from entrepot.ports.upstream import FetchedManifest
from entrepot.storage.bookmark import FileBookmark
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.scripted_upstream import ScriptedUpstream
from entrepot.testing.waiting import PATIENCE, until

LIMITS = Freshness(fresh_for=3600, revalidate_within=PATIENCE, stale_if_error=86400, not_found_for=0)


@dataclass(slots=True)
class Moody(ScriptedUpstream):
    """Fails requests whose words begin with a key, once for each failure it has for them.

    What is asked for the tags ``left_waiting`` has no answer as long as they are.
    """

    moods: dict[str, list[Exception]] = field(default_factory=dict)
    left_waiting: set[str] = field(default_factory=set)

    async def get_manifest(self, repository: str, reference: Reference) -> FetchedManifest:
        await until(lambda: str(reference) not in self.left_waiting, "the word to answer")
        return await ScriptedUpstream.get_manifest(self, repository, reference)

    def _ask(self, what: str) -> None:
        ScriptedUpstream._ask(self, what)
        for begin, failures in self.moods.items():
            if what.startswith(begin) and failures:
                raise failures.pop(0)


@dataclass
class Boiler(Depot):
    """A depot with everything that warms need; ``upstream`` serves docker.io."""

    upstream: Moody = field(default_factory=Moody)
    at_once: int = 4

    def __post_init__(self) -> None:
        Depot.__post_init__(self)
        site = Site(self.upstream, TagRules(LIMITS), PullRules(deny=("secret/*",)))
        sites = Sites(UpstreamTable.build(["docker.io"], {}, "docker.io"), {"docker.io": site})
        self.metrics = Metrics()
        self.manifests = Manifests(sites, self.index, self.uses, self.clock, self.metrics, memory=1 << 20)
        self.blobs = Blobs(sites, self.store, self.index, self.fills, self.uses)
        self.lists = Lists(sites, self.index, self.clock)
        self.warming = Warming(
            sites, self.manifests, self.blobs, self.lists, self.clock, at_once=self.at_once
        )
        bookmark = FileBookmark(self.store._root / "entrepot.warms")
        self.warms = Warms(self.warming, self.fills, bookmark, self.clock, self.tasks, metrics=self.metrics)

    def publish(self, repository: str, tag: str, *blobs: bytes, **members: object) -> Digest:
        """Have an image upstream; return its digest."""
        layers = [{"digest": str(self.add(blob, repository).digest), "size": len(blob)} for blob in blobs]
        return self._put(repository, tag, {"schemaVersion": 2, "layers": layers, **members})

    def attach(self, subject: Digest, blob: bytes, artifact_type: str) -> Digest:
        """Have an artifact upstream that refers to an image of the demo."""
        name = f"sha256:{artifact_type}"  # No tag.
        members = {"subject": {"digest": str(subject)}, "artifactType": artifact_type}
        return self.publish("library/demo", name, blob, **members)

    def publish_index(self, repository: str, tag: str, **platforms: bytes) -> Digest:
        """Have an index of images of one blob each, ``linux_amd64=b"..."``."""
        manifests = []
        for platform, blob in platforms.items():
            system, architecture, *variant = platform.split("_")
            digest = self.publish(repository, f"sha256:{platform}", blob)
            described = {"os": system, "architecture": architecture} | dict.fromkeys(
                ["variant"][: len(variant)], *variant[:1] or ("",)
            )
            manifests.append({"digest": str(digest), "platform": described})
        return self._put(repository, tag, {"schemaVersion": 2, "manifests": manifests})

    def order(self, *wanted: Wanted, platforms: Sequence[str] = (), **extent: bool) -> Warm:
        return self.warms.begin(wanted, Extent(tuple(map(parse_platform, platforms)), **extent), "test")

    async def warm(self, *wanted: Wanted, platforms: Sequence[str] = (), **extent: bool) -> Warm:
        warm = self.order(*wanted, platforms=platforms, **extent)
        await self.end_of(warm)
        return warm

    def resume(self) -> None:
        _ = self.tasks.spawn(self.warms.run(), "keep warms")

    async def end_of(self, warm: Warm) -> None:
        await self.until(lambda: warm.state is not WarmState.RUNNING)
        await self.settle()

    def downloads_of(self, *blobs: bytes) -> list[int]:
        asked = [what.split()[-1] for what in self.upstream.asked if what.startswith("GET")]
        return [asked.count(str(Digest.of(blob))) for blob in blobs]

    async def close(self) -> None:
        await self.tasks.close()
        await self.warms.close()
        await self.manifests.close()
        await self.lists.close()
        await self.blobs.close()
        await Depot.close(self)

    def _put(self, repository: str, tag: str, document: dict[str, object]) -> Digest:
        content = json.dumps(document).encode()
        self.upstream.manifests[repository, tag] = content
        return Digest.of(content)


@asynccontextmanager
async def heated(folder: Path) -> AsyncIterator[Boiler]:
    metadata = SqlMetadata.open(folder / "entrepot.db")
    boiler = Boiler(FilesystemBlobs(folder), index=metadata)
    yield boiler
    await boiler.close()
    await metadata.close()
    boiler.store.close()
    assert boiler.crashes == []


def demo(*tags: str) -> Wanted:
    return Wanted("docker.io", "library/demo", tags or ("1",))
