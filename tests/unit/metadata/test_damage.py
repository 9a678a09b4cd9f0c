from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from entrepot.errors import MetadataFailed
from entrepot.metadata.sql import SqlMetadata
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks
from entrepot.oci.reference import Repository
from entrepot.ports.metadata import StoredManifest

ALPINE = Repository("docker.io", "library/alpine")
CONTENT = b"m" * 20_000
DIGEST = Digest.of(CONTENT)
PAGE = 4096


async def _keep_manifest(metadata: SqlMetadata, content: bytes = CONTENT) -> None:
    manifest = StoredManifest(Digest.of(content), "application/json", content)
    await metadata.record_manifest(ALPINE, manifest, ManifestLinks(), 1.0)


def _refuse(*_: object) -> None:
    raise OSError(errno.EACCES, os.strerror(errno.EACCES))


def _names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.mark.parametrize("garbage", [b"no database" * 1000, b"SQLite format 3\0" + b"\xff" * 9000])
async def test_a_file_that_is_no_database_is_moved_aside(path: Path, garbage: bytes) -> None:
    path.write_bytes(garbage)
    (path.parent / "entrepot.db.corrupt-1").write_bytes(b"an older one")
    with capture_logs() as logs:
        metadata = SqlMetadata.open(path)
    assert metadata.tag(ALPINE, "3") is None
    assert (path.parent / "entrepot.db.corrupt-2").read_bytes() == garbage
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["metadata_damaged"]
    await metadata.close()


async def test_a_torn_file_is_moved_aside(path: Path) -> None:
    metadata = SqlMetadata.open(path)
    await _keep_manifest(metadata)
    await metadata.close()
    path.write_bytes(path.read_bytes()[: -3 * PAGE])
    again = SqlMetadata.open(path)
    assert again.manifest_anywhere(DIGEST) is None
    assert "entrepot.db.corrupt-1" in _names(path.parent)
    await again.close()


async def test_to_open_a_database_is_not_to_read_it(
    path: Path, damaged: SqlMetadata, contents: list[bytes]
) -> None:
    path.with_name("entrepot.db-wal").touch()
    again = SqlMetadata.open(path)
    assert _names(path.parent) == {"entrepot.db", "entrepot.db-wal", "entrepot.db-shm"}
    await again.close()
    await damaged.close()


async def test_a_check_finds_damage_that_nobody_has_met(
    path: Path, damaged: SqlMetadata, contents: list[bytes]
) -> None:
    assert await damaged.renew() is False
    with pytest.raises(MetadataFailed, match="is damaged"):
        await damaged.check()
    assert await damaged.renew() is True
    assert "entrepot.db.corrupt-1" in _names(path.parent)
    assert all(damaged.manifest_anywhere(Digest.of(content)) is None for content in contents)
    await damaged.check()
    assert await damaged.renew() is False
    await damaged.close()


async def test_damage_met_by_a_look_up_is_mended_while_it_runs(
    path: Path, damaged: SqlMetadata, contents: list[bytes]
) -> None:
    with pytest.raises(MetadataFailed, match="damaged"):
        _ = [damaged.manifest_anywhere(Digest.of(content)) for content in contents]
    assert await damaged.renew() is True
    for content in contents:
        await _keep_manifest(damaged, content)
    assert all(damaged.manifest_anywhere(Digest.of(content)) for content in contents)
    await damaged.close()
    again = SqlMetadata.open(path)
    assert all(again.manifest_anywhere(Digest.of(content)) for content in contents)
    await again.close()
    assert _names(path.parent) == {"entrepot.db", "entrepot.db.corrupt-1"}


async def test_a_new_one_that_cannot_be_made_is_tried_again(
    damaged: SqlMetadata, contents: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MetadataFailed):
        await damaged.check()
    with monkeypatch.context() as disk:
        disk.setattr(os, "replace", _refuse)
        for _ in range(2):
            with pytest.raises(MetadataFailed, match="move it away"):
                await damaged.renew()
    assert await damaged.renew() is True
    await _keep_manifest(damaged)
    await damaged.close()


async def test_a_visit_outlives_the_database_that_it_sees(
    path: Path, damaged: SqlMetadata, contents: list[bytes]
) -> None:
    visit = SqlMetadata.visit(path)
    with pytest.raises(MetadataFailed):
        await damaged.check()
    await damaged.renew()
    await _keep_manifest(damaged)
    await visit.close()
    await _keep_manifest(damaged, b"another")
    kept = path.with_name("copy.db")
    for suffix in ("", "-wal"):  # What the death of the process would leave.
        shutil.copy(f"{path}{suffix}", f"{kept}{suffix}")
    copy = SqlMetadata.open(kept)
    assert copy.manifest_anywhere(DIGEST) is not None
    await copy.close()
    await damaged.close()


async def test_a_damaged_database_does_not_outlive_the_process(
    path: Path, damaged: SqlMetadata, contents: list[bytes]
) -> None:
    with pytest.raises(MetadataFailed, match="damaged"):
        _ = [damaged.manifest_anywhere(Digest.of(content)) for content in contents]
    await damaged.close()
    assert _names(path.parent) == {"entrepot.db.corrupt-1"}


async def test_a_manifest_that_the_disk_changed_is_not_known_until_it_is_recorded_again(path: Path) -> None:
    metadata = SqlMetadata.open(path)
    await _keep_manifest(metadata)
    await metadata.close()
    path.write_bytes(path.read_bytes().replace(b"m" * 3000, b"m" * 2999 + b"n", 1))
    metadata = SqlMetadata.open(path)
    with capture_logs() as lines:
        assert metadata.manifest(ALPINE, DIGEST) is None
        assert metadata.manifest_anywhere(DIGEST) is None
    assert {line["event"] for line in lines} == {"manifest_damaged"}
    await _keep_manifest(metadata)
    found = metadata.manifest(ALPINE, DIGEST)
    assert found is not None
    assert found.content == CONTENT
    await metadata.close()


async def test_a_digest_that_is_none_is_damage(path: Path) -> None:
    metadata = SqlMetadata.open(path)
    await metadata.record_tag(ALPINE, "3", DIGEST, 1.0)
    await metadata.close()
    path.write_bytes(path.read_bytes().replace(str(DIGEST).encode(), b"sha256:" + b"?" * 64))
    metadata = SqlMetadata.open(path)
    with pytest.raises(MetadataFailed, match="is no digest"):
        metadata.tag(ALPINE, "3")
    await metadata.close()
    assert _names(path.parent) == {"entrepot.db.corrupt-1"}


async def test_a_visitor_moves_nothing_aside(path: Path) -> None:
    metadata = SqlMetadata.open(path)
    await metadata.record_tag(ALPINE, "3", DIGEST, 1.0)
    await metadata.close()
    path.write_bytes(path.read_bytes().replace(str(DIGEST).encode(), b"sha256:" + b"?" * 64))
    visit = SqlMetadata.visit(path)
    with pytest.raises(MetadataFailed, match="is no digest"):
        visit.tag(ALPINE, "3")
    await visit.close()
    assert _names(path.parent) == {"entrepot.db"}


async def test_a_visitor_sees_and_changes_what_another_has_open(path: Path, metadata: SqlMetadata) -> None:
    await _keep_manifest(metadata)
    visit = SqlMetadata.visit(path)
    await visit.forget_manifest(DIGEST)
    await visit.close()
    assert metadata.manifest_anywhere(DIGEST) is None
    await _keep_manifest(metadata)
    assert metadata.manifest_anywhere(DIGEST) is not None


def test_a_visitor_brings_no_database_up_to_date(path: Path) -> None:
    path.touch()
    with pytest.raises(MetadataFailed, match="start the cache"):
        SqlMetadata.visit(path)
