"""What an administrator has chosen goes, but not what somebody fetches again meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.engine.conftest import Depot

from entrepot.engine.blobs import Blobs
from entrepot.engine.manifests import Manifests
from entrepot.engine.purging import Purging
from entrepot.engine.sites import Site, Sites
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import read_links
from entrepot.oci.reference import Repository
from entrepot.policy.access import PullRules
from entrepot.policy.freshness import Freshness, TagRules
from entrepot.policy.routing import UpstreamTable
from entrepot.policy.selection import Selection
from entrepot.ports.metadata import StoredManifest
from entrepot.storage.layout import blob_path
from entrepot.telemetry.metrics import Metrics

DEMO = Repository("docker.io", "library/demo")
CONTENT = b"layer"


@pytest.fixture
def purging(depot: Depot) -> Purging:
    site = Site(depot.upstream, TagRules(Freshness()), PullRules())
    sites = Sites(UpstreamTable.build(["docker.io"], {}, "docker.io"), {"docker.io": site})
    manifests = Manifests(sites, depot.index, depot.uses, depot.clock, Metrics(), memory=1 << 20)
    blobs = Blobs(sites, depot.store, depot.index, depot.fills, depot.uses)
    return Purging(depot.index, manifests, blobs, depot.store, depot.index)


async def test_a_blob_that_is_stored_again_but_not_yet_recorded_is_not_purged(
    depot: Depot, purging: Purging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (digest,) = await depot.keep(CONTENT)
    held = b'{"layers":[{"digest":"%s","size":5}]}' % str(digest).encode()
    manifest = StoredManifest(Digest.of(held), "a/b", held)
    await depot.index.record_manifest(DEMO, manifest, read_links(held), 1.0)
    (tmp_path / blob_path(digest)).unlink()
    depot.store._open_files.clear()
    record, stored, purged = depot.index.record_stored, asyncio.Event(), asyncio.Event()

    async def record_late(*arguments: object) -> None:
        stored.set()
        await purged.wait()
        await record(*arguments)

    monkeypatch.setattr(depot.index, "record_stored", record_late)
    reading = asyncio.create_task(depot.read(depot.add(CONTENT)))
    await stored.wait()
    assert [blob for blob, _ in (await purging.purge(Selection("*"), dry_run=False)).blobs] == [digest]
    purged.set()
    assert await reading == CONTENT
    await depot.settle()
    assert depot.kept([digest]) == [True]
