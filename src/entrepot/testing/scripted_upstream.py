"""An upstream in memory, for tests of the engine: every byte it sends is asked for by the test."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from entrepot.errors import BlobNotHere, EntrepotError, ManifestNotHere, UpstreamDown
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Reference, Tag
from entrepot.policy.breaker import Health
from entrepot.ports.upstream import BlobOrigin, FetchedManifest, Inflow, ManifestHead

__all__ = ["ScriptedBreaker", "ScriptedUpstream"]

_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"


class ScriptedBreaker:
    def __init__(self) -> None:
        self.state = Health.UP
        self.doubts: list[float] = []

    def health(self) -> Health:
        return self.state

    def doubt(self, waited: float) -> None:
        self.doubts.append(waited)


class ScriptedOrigin:
    def __init__(self) -> None:
        self.distrusted: list[Digest] = []

    def distrust(self, digest: Digest) -> None:
        self.distrusted.append(digest)


@dataclass(slots=True)
class _Stream:
    upstream: ScriptedUpstream
    content: bytes
    start: int
    stop: int | None
    size: int | None
    cut: int | None

    @property
    def origin(self) -> ScriptedOrigin:
        return self.upstream.origin

    async def chunks(self) -> AsyncIterator[bytes]:
        end = len(self.content) if self.stop is None else self.stop
        for position in range(self.start, end, self.upstream.chunk):
            await self.upstream.gate.wait()
            if self.cut is not None and position - self.start >= self.cut:
                raise UpstreamDown("the connection broke")
            chunk = self.content[position : min(position + self.upstream.chunk, end)]
            self.upstream.sent += len(chunk)
            yield chunk

    def divert(self) -> Inflow | None:
        if not self.upstream.diverts or self.stop is None:
            return None
        inflow = _Inflow(self, self.start, self.stop)
        self.stop = self.start
        return inflow


@dataclass(slots=True)
class _Inflow:
    """Lets one chunk come for each time that it is waited for."""

    stream: _Stream
    position: int
    stop: int
    come: bytes = b""

    async def ready(self) -> bool:
        upstream, sent = self.stream.upstream, self.position - self.stream.start
        await upstream.gate.wait()
        if self.stream.cut is not None and sent >= self.stream.cut:
            raise UpstreamDown("the connection broke")
        self.come = self.stream.content[self.position : min(self.position + upstream.chunk, self.stop)]
        return bool(self.come)

    def read_into(self, buffer: memoryview) -> int:
        assert threading.current_thread() is not threading.main_thread(), "it may block the event loop"
        chunk, self.come = self.come[: len(buffer)], b""
        buffer[: len(chunk)] = chunk
        self.position += len(chunk)
        self.stream.upstream.sent += len(chunk)
        return len(chunk)


@dataclass(slots=True)
class ScriptedUpstream:
    """Holds blobs and manifests by repository; ``failure`` is raised by whatever is asked while it is set."""

    blobs: dict[tuple[str, Digest], bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], bytes] = field(default_factory=dict)
    chunk: int = 64 << 10
    diverts: bool = False
    """Downloads may be taken where they come, if what they bring is told to have an end."""
    honours_range: bool = True
    tells_size: bool = True
    tells_size_of_downloads: bool = True
    failure: EntrepotError | None = None
    cuts: list[int] = field(default_factory=list)
    """After how many bytes the next downloads break."""
    sizes: list[int | None] = field(default_factory=list)
    """What the next downloads say of the whole size, ``None`` for the truth."""
    size_of_parts: int | None = None
    """What downloads of a part say of the whole size, ``None`` for the truth."""
    refusals: dict[int, EntrepotError] = field(default_factory=dict)
    """What is raised in place of a download, by its number from 1 on."""
    honest_after: int = 0
    """How many downloads are of wrong bytes before they are right."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Closed, it holds back the next chunk of every download and every answer about manifests and lists."""
    breaker: ScriptedBreaker = field(default_factory=ScriptedBreaker)
    origin: ScriptedOrigin = field(default_factory=ScriptedOrigin)
    asked: list[str] = field(default_factory=list)
    downloads: list[tuple[int, int | None]] = field(default_factory=list)
    sent: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    async def head_manifest(self, repository: str, reference: Reference) -> ManifestHead:
        content = await self._manifest("HEAD", repository, reference)
        return ManifestHead(Digest.of(content), _MEDIA_TYPE, len(content))

    async def get_manifest(self, repository: str, reference: Reference) -> FetchedManifest:
        content = await self._manifest("GET", repository, reference)
        return FetchedManifest(Digest.of(content), _MEDIA_TYPE, content)

    async def head_blob(self, repository: str, digest: Digest) -> int | None:
        self._ask(f"HEAD {repository} {digest}")
        content = self._blob(repository, digest)
        return len(content) if self.tells_size else None

    @asynccontextmanager
    async def open_blob(
        self,
        repository: str,
        digest: Digest,
        start: int = 0,
        stop: int | None = None,
        *,
        whole_of: AbstractSet[BlobOrigin] = frozenset(),
    ) -> AsyncGenerator[_Stream]:
        self._ask(f"GET {repository} {digest}")
        if self.origin in whole_of:
            start, stop = 0, None
        self.downloads.append((start, stop))
        if len(self.downloads) in self.refusals:
            raise self.refusals[len(self.downloads)]
        content = self._blob(repository, digest)
        if not self.honours_range:
            start, stop = 0, None
        size = len(content) if self.tells_size and self.tells_size_of_downloads else None
        size = (self.sizes.pop(0) if self.sizes else None) or size
        if stop is not None or start > 0:
            size = self.size_of_parts or size
        if len(self.downloads) <= self.honest_after:
            content = bytes(reversed(content))
        cut = self.cuts.pop(0) if self.cuts else None
        await asyncio.sleep(0)
        yield _Stream(self, content, start, size if stop is None else stop, size, cut)

    async def tags(self, repository: str) -> list[str]:
        self._ask(f"TAGS {repository}")
        await self.gate.wait()
        return [tag for name, tag in self.manifests if name == repository and ":" not in tag]

    async def repositories(self) -> list[str]:
        self._ask("REPOSITORIES")
        await self.gate.wait()
        return sorted({name for name, _ in self.manifests})

    async def referrers(self, repository: str, digest: Digest) -> bytes:
        self._ask(f"REFERRERS {repository} {digest}")
        await self.gate.wait()
        kept = [content for (name, _), content in self.manifests.items() if name == repository]
        referring = [
            {"digest": str(Digest.of(content)), "artifactType": json.loads(content).get("artifactType")}
            for content in kept
            if json.loads(content).get("subject", {}).get("digest") == str(digest)
        ]
        return json.dumps({"schemaVersion": 2, "manifests": referring}).encode()

    async def _manifest(self, method: str, repository: str, reference: Reference) -> bytes:
        self._ask(f"{method} {repository} {reference}")
        await self.gate.wait()
        for (name, tag), content in self.manifests.items():
            is_meant = tag == reference.name if isinstance(reference, Tag) else reference.names(content)
            if name == repository and is_meant:
                return content
        raise ManifestNotHere(f"{repository} has no {reference}")

    def _blob(self, repository: str, digest: Digest) -> bytes:
        content = self.blobs.get((repository, digest))
        if content is None:
            raise BlobNotHere(f"{repository} has no {digest}")
        return content

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.failure is not None:
            raise self.failure
