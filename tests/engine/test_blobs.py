"""Blobs by repository and digest: what is stored is served, unless it is doubted and wrong."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs
from tests.engine.conftest import Depot

from entrepot.engine.blobs import Blobs, HeldBlob
from entrepot.engine.sites import Site, Sites
from entrepot.errors import StoreFailed
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import read_links
from entrepot.oci.reference import Repository
from entrepot.policy.access import PullRules
from entrepot.policy.freshness import Freshness, TagRules
from entrepot.policy.routing import UpstreamTable
from entrepot.ports.blobs import Pace, at_full_speed
from entrepot.ports.metadata import StoredManifest
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.storage.layout import blob_path

DEMO = Repository("docker.io", "library/demo")
LIAR = Repository("docker.io", "library/liar")
CONTENT = b"layer"
DIGEST = Digest.of(CONTENT)


@dataclass
class Reading:
    """How often a store has read blobs again, and what it does before."""

    count: int = 0
    first: Callable[[], None] = lambda: None


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> Reading:
    reading, is_right = Reading(), FilesystemBlobs.is_right

    async def read(store: FilesystemBlobs, digest: Digest, pace: Pace = at_full_speed) -> bool | None:
        reading.count += 1
        reading.first()
        return await is_right(store, digest, pace)

    monkeypatch.setattr(FilesystemBlobs, "is_right", read)
    return reading


@pytest.fixture
async def blobs(depot: Depot) -> AsyncIterator[Blobs]:
    """Blobs of which one is stored, with a manifest that lies about its size."""
    site = Site(depot.upstream, TagRules(Freshness()), PullRules())
    sites = Sites(UpstreamTable.build(["docker.io"], {}, "docker.io"), {"docker.io": site})
    await depot.keep(CONTENT)
    content = b'{"layers":[{"digest":"%s","size":4}]}' % str(DIGEST).encode()
    manifest = StoredManifest(Digest.of(content), "a/b", content)
    depot.add(CONTENT, LIAR.name)
    await depot.index.record_manifest(LIAR, manifest, read_links(content), 1.0)
    blobs = Blobs(sites, depot.store, depot.index, depot.fills, depot.uses)
    yield blobs
    await blobs.close()


async def test_a_manifest_that_lies_about_a_size_has_the_blob_read_again_once(
    blobs: Blobs, reading: Reading
) -> None:
    for _ in range(3):
        answer = await blobs.open(LIAR, DIGEST)
        assert isinstance(answer, HeldBlob)
        assert answer.size == len(CONTENT)
        answer.close()
    assert reading.count == 1


@pytest.mark.parametrize("failure", [StoreFailed("the disk is broken"), asyncio.CancelledError()], ids=repr)
async def test_a_doubt_that_cannot_be_resolved_leaves_nothing_open(
    blobs: Blobs, depot: Depot, reading: Reading, failure: BaseException
) -> None:
    def fail() -> None:
        raise failure

    reading.first = fail
    with pytest.raises(type(failure)):
        await blobs.open(LIAR, DIGEST)
    blob = depot.store.open(DIGEST)
    assert blob is not None
    blob.close()
    depot.store._open_files.clear()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(blob.fileno())


async def test_a_doubted_blob_that_is_gone_by_now_is_fetched_again(
    blobs: Blobs, depot: Depot, reading: Reading
) -> None:
    path = depot.store._root / blob_path(DIGEST)
    reading.first = path.unlink
    with capture_logs() as lines:
        answer = await blobs.open(LIAR, DIGEST)
    answer.close()
    await depot.settle()
    assert depot.held(DIGEST) == CONTENT
    assert "blob_damaged" not in [line["event"] for line in lines]


@pytest.mark.parametrize("damaged", [b"lXyer", b"", b"layers and more"])
async def test_a_blob_that_somebody_wrote_to_is_fetched_again_and_read_once_for_all_who_ask(
    blobs: Blobs, depot: Depot, reading: Reading, damaged: bytes
) -> None:
    (depot.store._root / blob_path(DIGEST)).write_bytes(damaged)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(blobs.open(DEMO, DIGEST)) for _ in range(5)]
    for asked in asking:
        asked.result().close()
    await depot.settle()
    assert depot.held(DIGEST) == CONTENT
    assert reading.count == 1


async def test_the_size_of_a_damaged_blob_is_not_told(blobs: Blobs, depot: Depot) -> None:
    (depot.store._root / blob_path(DIGEST)).write_bytes(b"damaged")
    assert await blobs.size(DEMO, DIGEST) == len(CONTENT)


async def test_a_blob_that_was_replaced_by_a_right_one_is_served_when_it_has_been_read(
    blobs: Blobs, depot: Depot, reading: Reading
) -> None:
    path = depot.store._root / blob_path(DIGEST)
    path.unlink()
    path.write_bytes(CONTENT)
    for _ in range(3):
        answer = await blobs.open(DEMO, DIGEST)
        assert isinstance(answer, HeldBlob)
        answer.close()
    assert reading.count == 1
