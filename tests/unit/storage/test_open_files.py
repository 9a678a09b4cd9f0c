from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.oci.digest import Digest
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.storage.layout import blob_path
from entrepot.storage.open_files import OpenFile, OpenFiles
from entrepot.testing.waiting import PATIENCE

CONTENT = b"content"
DIGEST = Digest.of(CONTENT)


def _file(folder: Path, name: str = "file") -> tuple[OpenFile, int]:
    path = folder / name
    path.write_bytes(CONTENT)
    fd = os.open(path, os.O_RDONLY)
    return OpenFile(fd, len(CONTENT)), fd


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.fixture
def files() -> Iterator[OpenFiles]:
    files = OpenFiles()
    yield files
    files.clear()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FilesystemBlobs]:
    store = FilesystemBlobs(tmp_path)
    path = tmp_path / blob_path(DIGEST)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    yield store
    store.close()


def test_a_file_is_closed_by_the_last_who_opened_it(tmp_path: Path) -> None:
    file, fd = _file(tmp_path)
    other = file.share()
    file.close()
    assert _is_open(fd)
    other.close()
    assert not _is_open(fd)


async def test_who_asks_next_shares_the_descriptor(store: FilesystemBlobs) -> None:
    first, second = store.open(DIGEST), store.open(DIGEST)
    assert first is not None
    assert second is not None
    assert first.fileno() == second.fileno()
    first.close()
    assert os.pread(second.fileno(), 100, 0) == CONTENT
    second.close()


async def test_a_blob_that_was_removed_by_hand_is_not_served_for_long(
    store: FilesystemBlobs, tmp_path: Path
) -> None:
    opened = store.open(DIGEST)
    assert opened is not None
    opened.close()
    fd = opened.fileno()
    (tmp_path / blob_path(DIGEST)).unlink()
    async with asyncio.timeout(PATIENCE):
        while (blob := store.open(DIGEST)) is not None:
            blob.close()
            await asyncio.sleep(0.01)
    assert not _is_open(fd)


async def test_nothing_is_kept_open_at_the_end(store: FilesystemBlobs) -> None:
    opened = store.open(DIGEST)
    assert opened is not None
    opened.close()
    assert _is_open(opened.fileno())
    store.close()
    assert not _is_open(opened.fileno())


async def test_few_are_kept_open(files: OpenFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("entrepot.storage.open_files._MOST", 2)
    opened: list[int] = []
    for number in range(5):
        file, fd = _file(tmp_path, str(number))
        files.keep(Digest.of(b"%d" % number), file)
        file.close()
        opened.append(fd)
        assert sum(map(_is_open, set(opened))) <= 2
    assert files.find(Digest.of(b"0")) is None
