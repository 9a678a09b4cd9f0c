from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from entrepot.errors import StoreFailed
from entrepot.storage.disk import FilesystemDisk
from entrepot.storage.filesystem import FilesystemBlobs


async def test_all_but_blobs_and_spools_is_measured_as_du_does(tmp_path: Path) -> None:
    FilesystemBlobs(tmp_path).close()
    folder = tmp_path / "blobs" / "sha256" / "ab"
    folder.mkdir(parents=True)
    (folder / ("ab" * 32)).write_bytes(bytes(1 << 20))
    (tmp_path / "entrepot.db").write_bytes(bytes(300_000))
    (tmp_path / "entrepot.db-wal").write_bytes(bytes(5))
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    (tmp_path / "spool" / "README").write_text("a stray")
    folders = [tmp_path, *(tmp_path / "blobs").glob("**/"), tmp_path / "spool"]
    files = [tmp_path / name for name in ("entrepot.db", "entrepot.db-wal", "sparse")]
    measured = sum(path.stat().st_blocks * 512 for path in [*folders, *files])
    survey = await FilesystemDisk(tmp_path).survey()
    assert survey.beside == measured
    assert survey.spools == []


def test_a_disk_that_does_not_tell_its_room_is_a_failure_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_path: object) -> os.statvfs_result:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as broken:
        broken.setattr(os, "statvfs", fail)
        with pytest.raises(StoreFailed):
            FilesystemDisk(tmp_path).space()


async def test_a_folder_that_is_gone_is_a_failure_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="cannot use"):
        await FilesystemDisk(tmp_path / "gone").survey()
