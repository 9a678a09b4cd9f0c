"""What every blob store must do."""

from __future__ import annotations

import hashlib
import os

import pytest

from entrepot.oci.digest import Digest
from entrepot.ports.blobs import BlobStore, Bookmark

__all__ = ["BlobContract", "BookmarkContract"]

CONTENT = b"layer" * 1000
DIGEST = Digest.of(CONTENT)
OTHER = Digest.of(b"other", "sha512")


class _Inflow:
    """Gives at most ten bytes at a time."""

    def __init__(self, content: bytes) -> None:
        self.rest = content

    async def ready(self) -> bool:
        return bool(self.rest)

    def read_into(self, buffer: memoryview) -> int:
        chunk = self.rest[: min(10, len(buffer))]
        buffer[: len(chunk)] = chunk
        self.rest = self.rest[len(chunk) :]
        return len(chunk)


async def _store(store: BlobStore, content: bytes, digest: Digest) -> None:
    spool = await store.spool(digest)
    await spool.write(0, content)
    await spool.commit(len(content))
    await spool.close()


class BlobContract:
    """Mix into a test class that has a ``store`` fixture."""

    async def test_what_was_never_stored_cannot_be_opened(self, store: BlobStore) -> None:
        assert store.open(DIGEST) is None

    async def test_a_committed_blob_reads_back_whole(self, store: BlobStore) -> None:
        await _store(store, CONTENT, DIGEST)
        blob = store.open(DIGEST)
        assert blob is not None
        assert blob.size == len(CONTENT)
        assert blob.is_untouched
        assert os.pread(blob.fileno(), blob.size + 1, 0) == CONTENT
        blob.close()

    async def test_a_spool_is_invisible_until_it_is_committed(self, store: BlobStore) -> None:
        spool = await store.spool(DIGEST)
        await spool.write(0, CONTENT)
        assert store.open(DIGEST) is None
        await spool.close()
        assert store.open(DIGEST) is None

    async def test_what_was_written_can_be_read_from_the_spool_at_once(self, store: BlobStore) -> None:
        spool = await store.spool(DIGEST)
        await spool.write(100, CONTENT[100:200])
        assert os.pread(spool.fileno(), 100, 100) == CONTENT[100:200]
        await spool.close()

    async def test_what_comes_of_a_download_is_taken_up_to_the_end_of_its_place(
        self, store: BlobStore
    ) -> None:
        spool, inflow = await store.spool(DIGEST), _Inflow(CONTENT)
        assert await spool.receive(100, inflow, 55) == 55
        assert os.pread(spool.fileno(), 55, 100) == CONTENT[:55]
        assert inflow.rest == CONTENT[55:]
        assert await spool.receive(200, inflow, 2 * len(CONTENT)) == len(CONTENT) - 55
        assert await spool.receive(0, inflow, 10) == 0
        await spool.close()
        again = await store.spool(DIGEST)
        assert sorted(again.present) == [(100, 155), (200, 145 + len(CONTENT))]
        await again.close()

    async def test_what_is_skipped_of_a_download_is_written_nowhere(self, store: BlobStore) -> None:
        spool, inflow = await store.spool(DIGEST), _Inflow(CONTENT)
        assert await spool.skip(inflow, 4) == 4
        assert inflow.rest == CONTENT[4:]
        assert not spool.present
        assert os.fstat(spool.fileno()).st_size == 0
        await spool.close()

    async def test_a_closed_spool_is_there_to_be_resumed(self, store: BlobStore) -> None:
        spool = await store.spool(DIGEST)
        assert list(spool.present) == []
        await spool.write(0, CONTENT[:10])
        await spool.write(50, CONTENT[50:60])
        await spool.close()
        again = await store.spool(DIGEST)
        assert sorted(again.present) == [(0, 10), (50, 60)]
        assert os.pread(again.fileno(), 10, 50) == CONTENT[50:60]
        await again.close()

    async def test_a_discarded_spool_leaves_nothing_to_resume(self, store: BlobStore) -> None:
        spool = await store.spool(DIGEST)
        await spool.write(0, CONTENT)
        await spool.discard()
        assert os.pread(spool.fileno(), 5, 0) == CONTENT[:5]
        await spool.close()
        again = await store.spool(DIGEST)
        assert list(again.present) == []
        await again.close()

    async def test_a_spool_stays_readable_when_it_has_become_a_blob(self, store: BlobStore) -> None:
        spool = await store.spool(DIGEST)
        await spool.write(0, CONTENT)
        await spool.commit(len(CONTENT))
        await store.delete(DIGEST)
        assert os.pread(spool.fileno(), len(CONTENT), 0) == CONTENT
        await spool.close()

    @pytest.mark.parametrize(("start", "stop"), [(0, len(CONTENT)), (7, 9), (0, 0)])
    async def test_a_hash_is_fed_exactly_the_interval(self, store: BlobStore, start: int, stop: int) -> None:
        spool = await store.spool(DIGEST)
        await spool.write(0, CONTENT)
        hasher = hashlib.sha256()
        await spool.feed(hasher, start, stop)
        assert hasher.digest() == hashlib.sha256(CONTENT[start:stop]).digest()
        await spool.close()

    async def test_an_open_blob_outlives_its_deletion(self, store: BlobStore) -> None:
        await _store(store, CONTENT, DIGEST)
        blob = store.open(DIGEST)
        assert blob is not None
        assert await store.delete(DIGEST) is True
        assert os.pread(blob.fileno(), 5, 0) == CONTENT[:5]
        blob.close()
        assert store.open(DIGEST) is None
        assert await store.delete(DIGEST) is False

    async def test_a_blob_is_right_when_its_bytes_are_what_its_digest_says(self, store: BlobStore) -> None:
        assert await store.is_right(DIGEST) is None
        await _store(store, CONTENT, DIGEST)
        assert await store.is_right(DIGEST) is True
        await _store(store, CONTENT[:-1], OTHER)
        assert await store.is_right(OTHER) is False

    async def test_whoever_reads_a_blob_again_sets_the_pace(self, store: BlobStore) -> None:
        content = bytes(10 << 20)
        told: list[int] = []

        async def pace(read_bytes: int) -> None:
            told.append(read_bytes)

        await _store(store, content, Digest.of(content))
        assert await store.is_right(Digest.of(content), pace) is True
        assert sum(told) == len(content)
        assert max(told) <= 8 << 20

    async def test_it_tells_which_of_many_are_not_here(self, store: BlobStore) -> None:
        await _store(store, CONTENT, DIGEST)
        spool = await store.spool(OTHER)
        assert await store.missing([DIGEST, OTHER, Digest.of(b"absent")]) == [OTHER, Digest.of(b"absent")]
        await spool.close()

    async def test_blobs_are_walked_over_in_the_order_of_their_names(self, store: BlobStore) -> None:
        contents = [b"%d" % number for number in range(20)]
        for content in contents:
            await _store(store, content, Digest.of(content))
        await _store(store, b"other", OTHER)
        names = [*sorted(map(Digest.of, contents), key=str), OTHER]
        assert [digest async for digest, _ in store.blobs()] == names
        assert [digest async for digest, _ in store.blobs(names[7])] == names[8:]
        assert [digest async for digest, _ in store.blobs(OTHER)] == []

    async def test_all_blobs_can_be_walked_over(self, store: BlobStore) -> None:
        await _store(store, CONTENT, DIGEST)
        await _store(store, b"other", OTHER)
        assert {found async for found in store.blobs()} == {(DIGEST, len(CONTENT)), (OTHER, 5)}


class BookmarkContract:
    """Mix into a test class that has a ``bookmark`` fixture."""

    async def test_what_was_never_written_is_empty(self, bookmark: Bookmark) -> None:
        assert bookmark.read() == b""

    async def test_what_was_written_last_is_there(self, bookmark: Bookmark) -> None:
        await bookmark.write(b"a long one")
        await bookmark.write(b"last")
        assert bookmark.read() == b"last"
