from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.http.api.conftest import Office, problem, running

from entrepot.config.retention import RetentionSettings
from entrepot.config.schema import CacheSettings, SyncSettings
from entrepot.config.units import Amount, Bytes, Seconds
from entrepot.http.api import collecting
from entrepot.oci.digest import Digest
from entrepot.storage.layout import blob_path
from entrepot.testing.registry_wire import Fault

MIB = 1 << 20

NAMES = [
    "clean-metadata",
    "collect",
    "expire-content",
    "flush-uses",
    "keep-budget",
    "mend-database",
    "reconcile-blobs",
    "scrub-content",
    "tidy-audit",
]


async def _ended(office: Office, name: str) -> Any:
    """Return a job when it has ended a run."""
    return await office.get_when(
        f"/jobs/{name}", lambda job: job["last_ended_at"] is not None and not job["running"]
    )


async def test_jobs_are_listed_with_what_they_do_and_when(office: Office) -> None:
    jobs = await office.get("/jobs")
    assert [job["name"] for job in jobs] == NAMES
    assert all(job["description"].endswith(".") for job in jobs)
    reconcile = await _ended(office, "reconcile-blobs")
    assert (reconcile["every_seconds"], reconcile["last_outcome"]) == (6 * 3600, "ok")
    assert reconcile["counts"] == {"found": 0, "lost": 0, "swept": 0}
    assert reconcile["last_started_at"] <= reconcile["last_ended_at"] < reconcile["next_at"]
    (expiry,) = await office.get("/jobs?search=expire")
    assert (expiry["every_seconds"], expiry["next_at"], expiry["last_outcome"]) == (None, None, None)
    page = await office.call("/jobs?sort=-name&page_size=2")
    assert page.headers["x-total-count"] == "9"
    assert (
        await office.get("/jobs?outcome=failed") == await office.get("/jobs?running=true&search=none") == []
    )


async def test_a_job_that_is_not_there_is_told_as_such(office: Office) -> None:
    for path, method in (("/jobs/none", "GET"), ("/jobs/none/run", "POST")):
        reply = await office.call(path, method)
        assert (reply.status, problem(reply)["detail"]) == (404, "there is no job none")


async def test_a_job_runs_when_it_is_asked_to(office: Office) -> None:
    reply = await office.call("/jobs/clean-metadata/run", "POST")
    assert (reply.status, reply.headers["location"]) == (202, "/api/v1/jobs/clean-metadata")
    assert (await _ended(office, "clean-metadata"))["last_outcome"] == "ok"
    (line,) = await office.eventually("/audit?event=action")
    assert (line["action"], line["detail"]) == ("run job", {"job": "clean-metadata"})


async def test_a_sync_is_a_job_and_runs_once_at_a_time(tmp_path: Path) -> None:
    nightly = SyncSettings(
        name="nightly", upstream="docker.io", repositories=("app",), tags=("1",), schedule="0 3 * * *"
    )
    hourly = SyncSettings(
        name="hourly", upstream="docker.io", repositories=("none",), tags=("1",), poll_interval=Seconds(3600)
    )
    async with running(tmp_path, sync=(nightly, hourly)) as office:
        office.registry.content.add_image("library/app", "1", layers=[b"layer"])
        job = await office.get("/jobs/sync:nightly")
        assert (job["schedule"], job["every_seconds"], job["last_outcome"]) == ("0 3 * * *", None, None)
        assert "T03:00:00" in job["next_at"]
        hold = asyncio.Event()
        office.registry.misbehave("blob", Fault(hold=hold, hang_after=0))
        assert (await office.call("/jobs/sync:nightly/run", "POST")).status == 202
        again = await office.call("/jobs/sync:nightly/run", "POST")
        assert (again.status, "is running already" in problem(again)["detail"]) == (409, True)
        hold.set()
        job = await _ended(office, "sync:nightly")
        assert (job["last_outcome"], job["counts"]["warmed"]) == ("ok", 1)
        failed = await _ended(office, "sync:hourly")
        assert (failed["last_outcome"], failed["every_seconds"]) == ("failed", 3600)
        assert "some of it failed: see warm" in failed["reason"]


def _age(folder: Path) -> None:
    """Have all content fetched long ago."""
    database = sqlite3.connect(folder / "entrepot.db")
    with closing(database), database:
        database.execute("UPDATE blobs SET stored_at = 1")
        database.execute("UPDATE manifests SET fetched_at = 1")


async def test_collecting_removes_what_has_expired_and_tells_how_much(tmp_path: Path) -> None:
    hour = {"retention": RetentionSettings(expire_after=Seconds(3600))}
    async with running(tmp_path, hour) as office:
        image = office.registry.content.add_image("library/app", "1", layers=[b"layer"])
        await office.pull("library/app/manifests/1")
        await office.pull(f"library/app/blobs/{image.layers[0]}")
        await office.settle()
        for name in ("expire-content", "reconcile-blobs"):
            await _ended(office, name)
        _age(tmp_path)
        collected = await office.post("/cache/collect")
        assert (collected["blobs"], collected["manifests"], collected["reason"]) == (1, 1, None)
        assert collected["bytes"] > 5
        assert (await office.call(f"/blobs/{image.layers[0]}")).status == 404
        (line,) = await office.eventually("/audit?event=action")
        told = {name: line["detail"][name] for name in ("done", "blobs", "bytes")}
        assert (line["action"], told) == ("collect", {"done": True, "blobs": 1, "bytes": collected["bytes"]})


async def test_collecting_makes_room_where_the_high_mark_is_passed(tmp_path: Path) -> None:
    bounded = CacheSettings(max_size=Amount(Bytes(32 * MIB)))
    async with running(tmp_path, cache=bounded) as office:
        layers = [bytes([number]) * MIB for number in range(8)]
        image = office.registry.content.add_image("library/app", "1", layers=layers)
        await office.pull("library/app/manifests/1")
        for layer in image.layers:
            await office.pull(f"library/app/blobs/{layer}")
        await office.settle()
        (tmp_path / "entrepot.db.corrupt-1").write_bytes(bytes(23 * MIB))  # Counted, and not evicted.
        collected = await office.post("/cache/collect")
        cache = await office.get("/cache")
        assert (collected["reason"], cache["evicted"]["content"]["budget"]) == (None, 8 - cache["blobs"])
        assert 0 < cache["blobs"] < 8
        assert cache["held"] <= 0.9 * 32 * MIB


async def test_collecting_compares_what_is_recorded_with_what_is_stored(office: Office) -> None:
    await _ended(office, "reconcile-blobs")
    stray = office.folder / blob_path(Digest.of(b"stray"))
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"stray")
    collected = await office.post("/cache/collect")
    assert (collected["found"], collected["lost"]) == (1, 0)
    stray.unlink()
    collected = await office.post("/cache/collect")
    assert (collected["found"], collected["lost"]) == (0, 1)


async def test_collecting_that_takes_long_is_left_to_its_job(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "_PATIENCE", 0.0)
    reply = await office.call("/cache/collect", "POST")
    assert (reply.status, reply.headers["location"]) == (202, "/api/v1/jobs/collect")
    assert msgspec.json.decode(reply.body)["running"]
    job = await _ended(office, "collect")
    assert (job["last_outcome"], job["counts"]["blobs"]) == ("ok", 0)
