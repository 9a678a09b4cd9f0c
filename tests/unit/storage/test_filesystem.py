from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrepot.errors import DiskFull, StoreFailed
from entrepot.oci.digest import Digest
from entrepot.storage.filesystem import FilesystemBlobs
from entrepot.storage.layout import blob_path, journal_path, spool_path
from entrepot.testing.scripted_system import ScriptedSystem

DIGEST = Digest.of(b"content")


def _failing(number: int) -> Callable[..., Any]:
    def fail(*_arguments: object, **_options: object) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


async def _leave_spool(root: Path) -> None:
    """Leave a spool as the death of the process would."""
    store = FilesystemBlobs(root)
    spool = await store.spool(DIGEST)
    await spool.write(0, b"cont")
    await spool.close()
    store.close()


async def _sweep(root: Path, now: float = 0.0) -> int:
    store = FilesystemBlobs(root)
    swept = sum([count async for count in store.sweep(now)])
    store.close()
    return swept


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
    (tmp_path / "spool").write_bytes(b"in the way")
    with pytest.raises(StoreFailed, match="cannot use"):
        await store.spool(DIGEST)
    store.close()


async def test_what_a_lost_part_held_does_not_come_back_with_a_new_one(tmp_path: Path) -> None:
    await _leave_spool(tmp_path)
    store = FilesystemBlobs(tmp_path)
    (tmp_path / spool_path(DIGEST)).unlink()
    spool = await store.spool(DIGEST)
    await spool.write(4, b"ent")
    await spool.close()
    spool = await store.spool(DIGEST)
    assert list(spool.present) == [(4, 7)]
    await spool.close()
    store.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES])
def test_a_blob_that_cannot_be_opened_is_a_failure_of_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store = FilesystemBlobs(tmp_path)
    with monkeypatch.context() as disk:
        disk.setattr(os, "open", _failing(number))
        with pytest.raises(StoreFailed, match=os.strerror(number)):
            store.open(DIGEST)
    store.close()


def test_a_folder_in_the_place_of_a_blob_is_a_failure_of_the_store(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    (tmp_path / blob_path(DIGEST)).mkdir(parents=True)
    with pytest.raises(StoreFailed, match="is no file"):
        store.open(DIGEST)
    store.close()


async def test_a_spool_that_the_disk_has_no_room_for_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FilesystemBlobs(tmp_path)
    await (await store.spool(DIGEST)).close()
    descriptors = _names(Path("/proc/self/fd"))
    with monkeypatch.context() as disk:
        disk.setattr(os, "write", _failing(errno.ENOSPC))
        with pytest.raises(DiskFull):
            await store.spool(DIGEST)
    assert _names(Path("/proc/self/fd")) == descriptors
    assert _names(tmp_path / "spool") == []
    store.close()


@pytest.mark.parametrize("lost", [spool_path, journal_path])
async def test_half_a_spool_is_swept_away(tmp_path: Path, lost: Callable[[Digest], str]) -> None:
    await _leave_spool(tmp_path)
    (tmp_path / lost(DIGEST)).unlink()
    assert await _sweep(tmp_path) == 1
    assert _names(tmp_path / "spool") == []


async def test_a_spool_whose_blob_is_there_is_swept_away(tmp_path: Path) -> None:
    await _leave_spool(tmp_path)
    blob = tmp_path / blob_path(DIGEST)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"content")
    assert await _sweep(tmp_path) == 2
    assert _names(tmp_path / "spool") == []
    assert blob.read_bytes() == b"content"


async def test_a_spool_that_can_be_resumed_is_not_swept_away(tmp_path: Path) -> None:
    await _leave_spool(tmp_path)
    (tmp_path / f"{journal_path(DIGEST)}.new").write_text("torn")
    assert await _sweep(tmp_path) == 1
    assert _names(tmp_path / "spool") == sorted(
        Path(path(DIGEST)).name for path in (spool_path, journal_path)
    )


async def test_a_spool_that_is_open_is_not_swept_away_whatever_it_lacks(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    spool = await store.spool(DIGEST)
    (tmp_path / journal_path(DIGEST)).unlink()
    assert sum([count async for count in store.sweep(0.0)]) == 0
    await spool.write(0, b"content")
    await spool.commit(7)
    await spool.close()
    assert store.open(DIGEST) is not None
    store.close()


async def test_a_spool_that_was_closed_is_swept_however_long_somebody_remembers_it(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    spool = await store.spool(DIGEST)
    await spool.write(0, b"cont")
    await spool.close()
    (tmp_path / journal_path(DIGEST)).unlink()
    assert sum([count async for count in store.sweep(0.0)]) == 1
    assert spool.is_closed
    store.close()


STRAYS = (
    "blobs/README",
    "blobs/sha256/.tmp",
    f"blobs/sha256/00/{DIGEST.hex}",
    f"blobs/sha256/{DIGEST.hex[:2]}/{DIGEST.hex}.part",
    f"blobs/md5/{DIGEST.hex[:2]}/{DIGEST.hex}",
    "spool/README",
    f"spool/sha256-{DIGEST.hex}.old",
)


@pytest.mark.parametrize("age", [4000, -4000], ids=["old", "of a clock that was ahead"])
async def test_files_that_no_digest_leads_to_are_swept_away(tmp_path: Path, age: int) -> None:
    FilesystemBlobs(tmp_path).close()
    (tmp_path / "entrepot.db").write_text("not the store's")
    for stray in STRAYS:
        path = tmp_path / stray
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("stray")
        os.utime(path, (1e9 - age, 1e9 - age))
    blob = tmp_path / blob_path(DIGEST)
    blob.write_bytes(b"content")
    assert await _sweep(tmp_path, 1e9) == len(STRAYS)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {blob, tmp_path / "entrepot.db"}


async def test_a_file_that_somebody_may_yet_be_writing_is_left(tmp_path: Path) -> None:
    FilesystemBlobs(tmp_path).close()
    stray = tmp_path / "blobs" / "being copied"
    stray.touch()
    assert await _sweep(tmp_path, stray.stat().st_mtime + 3500) == 0
    assert await _sweep(tmp_path, stray.stat().st_mtime + 3700) == 1


@pytest.mark.parametrize("at", range(1, 5))
async def test_what_cannot_be_dropped_does_not_keep_the_rest_from_being_swept(
    tmp_path: Path, at: int
) -> None:
    await _leave_spool(tmp_path)
    torn = tmp_path / f"{journal_path(DIGEST)}.new"
    strays = [torn, *(tmp_path / "blobs" / name for name in "ab"), tmp_path / "spool" / "README"]
    for path in strays:
        path.touch()
    system = ScriptedSystem()
    store = FilesystemBlobs(tmp_path, system=system)
    system.fail(errno.EPERM, at=at)
    with pytest.raises(StoreFailed, match=os.strerror(errno.EPERM)):
        _ = [count async for count in store.sweep(0.0)]
    store.close()
    assert sum(path.exists() for path in strays) == 1


async def _keep(store: FilesystemBlobs, content: bytes) -> None:
    spool = await store.spool(Digest.of(content))
    await spool.write(0, content)
    await spool.commit(len(content))
    await spool.close()


def _is_untouched(store: FilesystemBlobs, digest: Digest = DIGEST) -> bool:
    blob = store.open(digest)
    assert blob is not None
    is_untouched = blob.is_untouched
    blob.close()
    return is_untouched


async def test_a_write_breaks_the_seal_of_a_blob_even_while_it_is_open(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    await _keep(store, b"content")
    blob = store.open(DIGEST)
    assert blob is not None
    assert _is_untouched(store)
    with (tmp_path / blob_path(DIGEST)).open("r+b") as file:
        file.write(b"C")
    assert not blob.is_untouched
    blob.close()
    store.close()


async def test_what_is_found_right_is_sealed_again(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    await _keep(store, b"content")
    (tmp_path / blob_path(DIGEST)).write_bytes(b"content")
    assert not _is_untouched(store)
    assert await store.is_right(DIGEST)
    assert _is_untouched(store)
    store.close()


async def test_what_is_found_wrong_is_not_sealed(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    await _keep(store, b"content")
    (tmp_path / blob_path(DIGEST)).write_bytes(b"CONTENT")
    assert not await store.is_right(DIGEST)
    assert not _is_untouched(store)
    store.close()


async def test_what_is_written_to_while_it_is_read_again_is_not_sealed(tmp_path: Path) -> None:
    store = FilesystemBlobs(tmp_path)
    await _keep(store, b"content")
    path = tmp_path / blob_path(DIGEST)
    path.write_bytes(b"content")

    async def write(_read_bytes: int) -> None:
        path.write_bytes(b"CONTENT")

    assert await store.is_right(DIGEST, write)
    assert not _is_untouched(store)
    store.close()


class _WholeSeconds(ScriptedSystem):
    """A file system that keeps no fractions of seconds."""

    def utime(self, fd: int, /, *, ns: tuple[int, int]) -> None:
        super().utime(fd, ns=(ns[0] // 10**9 * 10**9, ns[1] // 10**9 * 10**9))


class _NoTimes(ScriptedSystem):
    """A file system that lets nobody set times."""

    def utime(self, fd: int, /, *, ns: tuple[int, int]) -> None:
        raise OSError(errno.EPERM, "not permitted")


@pytest.mark.parametrize("system", [_WholeSeconds(), _NoTimes()])
async def test_where_a_disk_keeps_no_seals_what_is_there_is_read_again_but_once(
    tmp_path: Path, system: ScriptedSystem
) -> None:
    store = FilesystemBlobs(tmp_path, system=system)
    await _keep(store, b"content")
    await _keep(store, b"other")
    assert not _is_untouched(store)
    assert await store.is_right(DIGEST)
    assert _is_untouched(store)
    assert _is_untouched(store, Digest.of(b"other"))
    store.close()
