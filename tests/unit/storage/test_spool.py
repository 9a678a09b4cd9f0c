from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from entrepot.errors import DiskFull, StoreFailed
from entrepot.oci.digest import Digest
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.storage.spool import FileSpool
from entrepot.testing.waiting import PATIENCE

CONTENT = b"content"
DIGEST = Digest.of(CONTENT)


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FilesystemBlobs]:
    store = FilesystemBlobs(tmp_path)
    yield store
    store.close()


@pytest.fixture
async def spool(store: FilesystemBlobs) -> AsyncIterator[FileSpool]:
    spool = await store.spool(DIGEST)
    await spool.write(0, CONTENT)
    yield spool
    await spool.close()


class SlowHasher:
    """Holds up the thread that feeds it until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def update(self, _content: bytes) -> None:
        self.entered.set()
        assert self.let_go.wait(PATIENCE)


async def test_what_comes_after_all_folders_were_removed_is_kept(
    store: FilesystemBlobs, tmp_path: Path
) -> None:
    for folder in tmp_path.iterdir():
        shutil.rmtree(folder)
    spool = await store.spool(DIGEST)
    await spool.write(0, CONTENT)
    await spool.commit(len(CONTENT))
    await spool.close()
    blob = store.open(DIGEST)
    assert blob is not None
    blob.close()


async def test_a_caller_who_is_cancelled_again_and_again_waits_for_its_thread(spool: FileSpool) -> None:
    hasher = SlowHasher()
    feeding = asyncio.ensure_future(spool.feed(hasher, 0, len(CONTENT)))
    await asyncio.to_thread(hasher.entered.wait, PATIENCE)
    for _ in range(3):
        feeding.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not feeding.done()
    hasher.let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await feeding


async def test_a_late_discard_leaves_the_successors_files_alone(
    store: FilesystemBlobs, spool: FileSpool
) -> None:
    await spool.discard()
    successor = await store.spool(DIGEST)
    await successor.write(0, CONTENT)
    await spool.discard()
    await successor.commit(len(CONTENT))
    await successor.close()
    blob = store.open(DIGEST)
    assert blob is not None
    blob.close()


async def test_a_late_commit_does_not_take_the_successors_files(
    store: FilesystemBlobs, spool: FileSpool
) -> None:
    await spool.discard()
    successor = await store.spool(DIGEST)
    await successor.write(0, b"half")
    with pytest.raises(StoreFailed, match="given up"):
        await spool.commit(len(CONTENT))
    await successor.close()
    assert store.open(DIGEST) is None


async def test_a_commit_that_fails_gives_the_files_up_at_once(
    store: FilesystemBlobs, spool: FileSpool, tmp_path: Path
) -> None:
    (tmp_path / "blobs").rmdir()
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(StoreFailed):
        await spool.commit(len(CONTENT))
    assert _names(tmp_path / "spool") == []
    assert os.pread(spool.fileno(), 7, 0) == CONTENT
    successor = await store.spool(DIGEST)
    assert list(successor.present) == []
    await spool.discard()
    await successor.write(0, CONTENT)
    await successor.close()
    successor = await store.spool(DIGEST)
    assert list(successor.present) == [(0, 7)]
    await successor.discard()
    await successor.close()


async def test_a_commit_that_fails_when_the_blob_is_in_its_place_leaves_a_whole_blob(
    store: FilesystemBlobs, spool: FileSpool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blobs" / "sha256" / DIGEST.hex[:2]).mkdir(parents=True)
    sync = os.fsync

    def fail_for_folders(fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").resolve().is_dir():
            raise OSError(errno.EIO, "Input/output error")
        sync(fd)

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", fail_for_folders)
        with pytest.raises(StoreFailed):
            await spool.commit(len(CONTENT))
    assert _names(tmp_path / "spool") == []
    blob = store.open(DIGEST)
    assert blob is not None
    assert os.pread(blob.fileno(), 100, 0) == CONTENT
    blob.close()


async def test_a_write_that_finds_no_room_is_told_so(
    spool: FileSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_fd: int, _data: bytes, _offset: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(DiskFull, match="no room"):
        await spool.write(7, b"more")
