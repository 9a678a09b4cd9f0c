"""Stored content read again: what is wrong goes, what is right stays, and nobody is disturbed."""

from __future__ import annotations

import asyncio
import errno
import math
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from entrepot.engine.rounds import Rounds, RoundsPlan
from entrepot.engine.scrub import Finding, Kind, Scrub, Verdict
from entrepot.metadata import schema
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import read_links
from entrepot.oci.reference import Repository
from entrepot.ports.blobs import Pace
from entrepot.ports.metadata import StoredManifest
from entrepot.storage.bookmark import FileBookmark
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.storage.layout import blob_path
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE

DEMO = Repository("docker.io", "library/demo")
DAY = 86400.0


class Clock(VirtualClock):
    """Passes over short pauses; a long rest lasts, and any pause from ``end`` on."""

    def __init__(self) -> None:
        super().__init__(autojump=True)
        self.resting = asyncio.Event()
        self.end = math.inf

    async def sleep(self, seconds: float) -> None:
        if seconds >= 600 or self.monotonic() >= self.end:
            self.resting.set()
            await asyncio.Event().wait()
        await super().sleep(seconds)


@dataclass
class Cellar:
    folder: Path
    store: FilesystemBlobs
    metadata: SqlMetadata
    clock: Clock = field(default_factory=Clock)
    metrics: Metrics = field(default_factory=Metrics)

    async def keep(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        spool = await self.store.spool(digest)
        await spool.write(0, content)
        await spool.commit(len(content))
        await spool.close()
        await self.metadata.record_stored(digest, len(content), 1.0)
        return digest

    async def keep_manifest(self, content: bytes) -> Digest:
        manifest = StoredManifest(Digest.of(content), "a/b", content)
        await self.metadata.record_manifest(DEMO, manifest, read_links(content), 1.0)
        return manifest.digest

    def flip(self, digest: Digest) -> None:
        """Have the disk change one bit of a blob."""
        path = self.folder / blob_path(digest)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    async def flip_manifest(self, digest: Digest, content: bytes) -> None:
        table = schema.manifest_contents
        wrong = (
            update(table).where(table.c.manifest_digest == str(digest)).values(content=content[:-1] + b"?")
        )
        await self.metadata._database.execute(wrong, {})

    def rounds(self, *, rate: int = 1 << 20, every: float = 28 * DAY) -> Rounds:
        bookmark = FileBookmark(self.folder / "entrepot.scrub")
        plan = RoundsPlan(rate, every)
        return Rounds(self.store, self.metadata, bookmark, self.clock, self.metrics, plan=plan)

    async def go_round(self, rounds: Rounds) -> Sequence[Mapping[str, Any]]:
        """Run what is due until it rests; return what it logged."""
        self.clock.resting.clear()
        self.clock.sleeps.clear()
        with capture_logs() as lines:
            running = asyncio.create_task(rounds.run_when_due())
            resting = asyncio.create_task(self.clock.resting.wait())
            await asyncio.wait([running, resting], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            for task in (running, resting):
                task.cancel()
            await asyncio.wait([running, resting])
        return lines


@pytest.fixture
async def cellar(tmp_path: Path) -> AsyncIterator[Cellar]:
    cellar = Cellar(tmp_path, FilesystemBlobs(tmp_path), SqlMetadata.open(tmp_path / "entrepot.db"))
    yield cellar
    await cellar.metadata.close()
    cellar.store.close()


@pytest.fixture
def scrub(cellar: Cellar) -> Scrub:
    return Scrub(cellar.store, cellar.metadata)


async def test_what_is_right_stays(cellar: Cellar, scrub: Scrub) -> None:
    blob, manifest = await cellar.keep(b"right"), await cellar.keep_manifest(b"{}")
    assert [finding async for finding in scrub.blobs()] == [Finding(Kind.BLOB, blob, Verdict.RIGHT, 5)]
    assert [finding async for finding in scrub.manifests()] == [
        Finding(Kind.MANIFEST, manifest, Verdict.RIGHT, 2)
    ]


@pytest.mark.parametrize("content", [b"one bit", b"x" * (9 << 20)], ids=["small", "large"])
async def test_a_blob_with_one_wrong_bit_is_dropped_with_its_row(
    cellar: Cellar, scrub: Scrub, content: bytes
) -> None:
    wrong, right = await cellar.keep(content), await cellar.keep(b"right")
    cellar.flip(wrong)
    found = {finding.digest: finding.verdict async for finding in scrub.blobs()}
    assert found == {wrong: Verdict.DROPPED, right: Verdict.RIGHT}
    assert cellar.store.open(wrong) is None
    assert cellar.metadata.stored_after(None, 9) == [right]


@pytest.mark.parametrize("size", [0, 3, 8])
async def test_a_blob_of_another_length_is_dropped(cellar: Cellar, scrub: Scrub, size: int) -> None:
    digest = await cellar.keep(b"content")
    (cellar.folder / blob_path(digest)).write_bytes(b"content!"[:size])
    assert (await scrub.blob(digest)).verdict is Verdict.DROPPED


async def test_a_manifest_with_wrong_bytes_is_dropped(cellar: Cellar, scrub: Scrub) -> None:
    digest = await cellar.keep_manifest(b'{"schemaVersion":2}')
    await cellar.flip_manifest(digest, b'{"schemaVersion":2}')
    assert [finding.verdict async for finding in scrub.manifests()] == [Verdict.DROPPED]
    assert cellar.metadata.manifests_after(None, 9) == []


async def test_a_blob_that_is_evicted_meanwhile_is_nothing_wrong(cellar: Cellar) -> None:
    content = b"x" * (9 << 20)
    digest = await cellar.keep(content)

    async def evict(_read_bytes: int) -> None:
        await cellar.store.delete(digest)

    assert (await Scrub(cellar.store, cellar.metadata, evict).blob(digest)).verdict is Verdict.GONE


async def test_a_blob_that_is_evicted_and_fetched_again_meanwhile_stays(
    cellar: Cellar, scrub: Scrub, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, is_right = Digest.of(b"fresh"), cellar.store.is_right

    async def read(gone: Digest, pace: Pace) -> bool | None:
        verdict = await is_right(gone, pace)
        await cellar.keep(b"fresh")
        return verdict

    monkeypatch.setattr(cellar.store, "is_right", read)
    assert (await scrub.blob(digest)).verdict is Verdict.GONE
    assert cellar.store.open(digest) is not None
    assert cellar.metadata.is_stored(digest)


async def test_what_cannot_be_read_is_told_and_the_rest_is_checked(cellar: Cellar, scrub: Scrub) -> None:
    first, second = sorted([await cellar.keep(b"one"), await cellar.keep(b"two")], key=str)
    (cellar.folder / blob_path(first)).unlink()
    (cellar.folder / blob_path(first)).symlink_to(cellar.folder)
    assert (await scrub.blob(first)).verdict is Verdict.FAILED
    assert [finding.digest async for finding in scrub.blobs()] == [second]


async def test_only_what_a_repository_holds_is_checked(cellar: Cellar, scrub: Scrub) -> None:
    layer, other = await cellar.keep(b"layer"), await cellar.keep(b"other")
    absent = Digest.of(b"absent")
    held = b'{"layers":[%s,%s]}' % tuple(
        b'{"digest":"%s","size":5}' % str(digest).encode() for digest in (layer, absent)
    )
    manifest = await cellar.keep_manifest(held)
    cellar.flip(layer)
    cellar.flip(other)
    found = {finding.digest: finding.verdict async for finding in scrub.repository(DEMO)}
    assert found == {manifest: Verdict.RIGHT, layer: Verdict.DROPPED, absent: Verdict.GONE}
    assert cellar.store.open(other) is not None


async def test_a_round_drops_what_is_wrong_says_so_and_counts(cellar: Cellar) -> None:
    wrong = await cellar.keep(b"wrong")
    await cellar.keep(b"right")
    cellar.flip(wrong)
    rounds = cellar.rounds()
    assert 'entrepot_scrubbed_total{content="blob",verdict="dropped"} 0.0' in cellar.metrics.render().decode()
    lines = await cellar.go_round(rounds)
    assert [line["event"] for line in lines] == ["blob_damaged", "content_scrubbed"]
    assert lines[0]["digest"] == str(wrong)
    assert (lines[1]["right"], lines[1]["dropped"]) == (1, 1)
    metrics = cellar.metrics.render().decode()
    assert 'entrepot_scrubbed_total{content="blob",verdict="dropped"} 1.0' in metrics
    assert "entrepot_scrubbed_bytes_total 10.0" in metrics
    assert "entrepot_scrubs_total 1.0" in metrics


async def test_a_round_reads_no_faster_than_it_may(cellar: Cellar) -> None:
    for number in range(4):
        await cellar.keep(b"%d" % number * (3 << 20))
    await cellar.go_round(cellar.rounds(rate=1 << 20))
    assert cellar.clock.monotonic() == pytest.approx(12.0)
    assert max(cellar.clock.sleeps) <= 4.0


async def test_tiny_blobs_get_their_pauses_too(cellar: Cellar) -> None:
    for number in range(10):
        await cellar.keep(b"%d" % number)
    await cellar.go_round(cellar.rounds(rate=1 << 30))
    assert len(cellar.clock.sleeps) == 10
    assert min(cellar.clock.sleeps) >= 0.005


async def test_the_next_round_begins_when_its_time_has_come(cellar: Cellar) -> None:
    digest = await cellar.keep(b"content")
    await cellar.go_round(cellar.rounds())
    cellar.flip(digest)
    cellar.clock.advance(27 * DAY)
    assert await cellar.go_round(cellar.rounds()) == []
    cellar.clock.advance(DAY)
    assert len(await cellar.go_round(cellar.rounds())) == 2
    assert cellar.store.open(digest) is None


async def test_a_clock_that_was_ahead_does_not_put_off_the_next_round(cellar: Cellar) -> None:
    cellar.clock.advance(3650 * DAY)
    await cellar.go_round(cellar.rounds())
    cellar.clock.advance(-3650 * DAY)
    assert [line["event"] for line in await cellar.go_round(cellar.rounds())] == ["content_scrubbed"]


async def test_a_new_process_goes_on_where_the_last_one_stopped(cellar: Cellar) -> None:
    digests = sorted([await cellar.keep(b"%d" % number * (2 << 20)) for number in range(5)], key=str)
    cellar.clock.end = 600.0
    # So slow that a blob lasts longer than the minute between two marks.
    assert await cellar.go_round(cellar.rounds(rate=10_000)) == []
    for digest in digests:
        cellar.flip(digest)
    cellar.clock.end = math.inf
    await cellar.go_round(cellar.rounds())
    assert [digest for digest in digests if cellar.store.open(digest) is not None] == digests[:3]


@pytest.mark.parametrize("mark", [b"", b"nonsense", b'{"begun_at":"x"}', b"\xff"])
async def test_a_lost_mark_begins_a_round(cellar: Cellar, mark: bytes) -> None:
    (cellar.folder / "entrepot.scrub").write_bytes(mark)
    assert [line["event"] for line in await cellar.go_round(cellar.rounds())] == ["content_scrubbed"]


async def test_a_store_that_fails_is_tried_again_later(
    cellar: Cellar, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cellar.keep(b"content")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as disk:
        disk.setattr(os, "scandir", fail)
        assert [line["event"] for line in await cellar.go_round(cellar.rounds())] == ["scrub_interrupted"]
    assert [line["event"] for line in await cellar.go_round(cellar.rounds())] == ["content_scrubbed"]


async def test_a_round_whose_mark_cannot_be_written_goes_on_and_is_not_begun_again(cellar: Cellar) -> None:
    for number in range(3):
        cellar.flip(await cellar.keep(b"%d" % number))
    (cellar.folder / "entrepot.scrub.new").mkdir()
    lines = await cellar.go_round(cellar.rounds())
    assert [line["event"] for line in lines if line["event"] != "blob_damaged"] == [
        "scrub_mark_not_kept",
        "scrub_mark_not_kept",
        "content_scrubbed",
    ]
    assert lines[-1]["dropped"] == 3
