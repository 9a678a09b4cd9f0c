from __future__ import annotations

from pathlib import Path

import pytest

from entrepot.errors import StoreFailed
from entrepot.oci.digest import Digest
from entrepot.storage.filesystem import FilesystemBlobs

DIGEST = Digest.of(b"content")


async def test_strays_among_the_blobs_are_passed_over(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    folder = tmp_path / "blobs" / "sha256" / "ab"
    folder.mkdir(parents=True)
    (folder / "README").write_text("not a blob")
    assert [found async for found in store.blobs()] == []
    store.close()


async def test_a_spool_that_was_never_written_leaves_no_file(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    spool = await store.spool(DIGEST)
    await spool.close()
    assert list((tmp_path / "spool").iterdir()) == []
    store.close()


async def test_a_committed_spool_leaves_only_the_blob(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    spool = await store.spool(DIGEST)
    await spool.write(0, b"content")
    await spool.commit(7)
    await spool.close()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [
        tmp_path / "blobs" / "sha256" / DIGEST.hex[:2] / DIGEST.hex
    ]
    store.close()


async def test_a_journal_that_promises_more_than_its_file_holds_is_cut_down(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    spool = await store.spool(DIGEST)
    await spool.write(0, b"cont")
    await spool.write(4, b"ent")
    await spool.close()
    part = next((tmp_path / "spool").glob("*.part"))
    part.write_bytes(b"cont")
    spool = await store.spool(DIGEST)
    assert list(spool.present) == [(0, 4)]
    await spool.close()
    store.close()


async def test_a_spool_that_cannot_be_made_is_a_failure_of_the_store(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    (tmp_path / "spool").rmdir()
    with pytest.raises(StoreFailed, match="cannot use"):
        await store.spool(DIGEST)
    store.close()
