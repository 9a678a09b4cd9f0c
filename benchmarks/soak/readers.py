"""Clients that pull images for ever and check every answer: it is right, or it is visibly broken."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import aiohttp
from benchmarks.soak.catalogue import MANIFEST_TYPE, Catalogue, Image, Layer

__all__ = ["Readers", "Tally"]

_CHUNK = 256 << 10
_PATIENCE = aiohttp.ClientTimeout(total=60)
_SECONDS_BEFORE_NEXT = 0.2
_SHARE_OF_SCANS = 0.25
_SHARE_OF_RANGES = 0.2


@dataclass(slots=True)
class Tally:
    """``answers`` by what became of them; ``wrong`` says what must never be."""

    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    bytes: int = 0


class Readers:
    """Each pulls what is popular, and now and then the next of a scan over everything."""

    def __init__(self, url: str, catalogue: Catalogue, seed: int) -> None:
        self.tally = Tally()
        self._url = url
        self._catalogue = catalogue
        self._seed = seed
        self._scanned = 0

    async def run(self, count: int, stop: asyncio.Event) -> None:
        async with (
            aiohttp.ClientSession(timeout=_PATIENCE, read_bufsize=_CHUNK) as session,
            asyncio.TaskGroup() as group,
        ):
            for number in range(count):
                group.create_task(self._pull_for_ever(session, Random(f"{self._seed} {number}"), stop))

    async def _pull_for_ever(
        self, session: aiohttp.ClientSession, chance: Random, stop: asyncio.Event
    ) -> None:
        while not stop.is_set():
            image = self._next(chance)
            path = f"{image.repository}/manifests/latest"
            if not await self._ask(session, path, {"Accept": MANIFEST_TYPE}, memoryview(image.manifest)):
                await asyncio.sleep(_SECONDS_BEFORE_NEXT)
                continue
            for layer in chance.sample(image.layers, len(image.layers)):
                await self._read(session, image, layer, chance)

    def _next(self, chance: Random) -> Image:
        if chance.random() >= _SHARE_OF_SCANS:
            return self._catalogue.popular(chance)
        self._scanned += 1
        return self._catalogue.images[self._scanned % len(self._catalogue.images)]

    async def _read(self, session: aiohttp.ClientSession, image: Image, layer: Layer, chance: Random) -> None:
        path = f"{image.repository}/blobs/{layer.digest}"
        if chance.random() >= _SHARE_OF_RANGES:
            await self._ask(session, path, {}, self._catalogue.content(layer))
            return
        start = chance.randrange(layer.size)
        stop = chance.randint(start + 1, layer.size)
        headers = {"Range": f"bytes={start}-{stop - 1}"}
        await self._ask(session, path, headers, self._catalogue.content(layer, start, stop))

    async def _ask(
        self, session: aiohttp.ClientSession, path: str, headers: dict[str, str], right: memoryview
    ) -> bool:
        """Tell whether the answer was whole; note what it was."""
        hasher = hashlib.sha256()
        try:
            async with session.get(f"{self._url}/v2/{path}", headers=headers) as answer:
                status = answer.status
                async for chunk in answer.content.iter_chunked(_CHUNK):
                    hasher.update(chunk)
                    self.tally.bytes += len(chunk)
        except aiohttp.ClientConnectorError:
            outcome = "unreachable"
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as failure:
            outcome = "timed out" if isinstance(failure, TimeoutError) else "broken"
        else:
            is_right = hasher.digest() == hashlib.sha256(right).digest()
            outcome = self._judged(f"{status} {path} {headers}", status, is_right=is_right)
        self.tally.answers[outcome] += 1
        return outcome == "right"

    def _judged(self, what: str, status: int, *, is_right: bool) -> str:
        if status in (200, 206) and is_right:
            return "right"
        if status in (429, 500, 502, 503, 504):
            return f"refused with {status}"
        self.tally.wrong.append(what)
        print(f"WRONG {what}", file=sys.stderr)
        return "wrong"
