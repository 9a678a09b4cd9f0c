"""What every disk that a blob store lies on must tell."""

from __future__ import annotations

from entrepot.oci.digest import Digest
from entrepot.ports.blobs import BlobStore
from entrepot.ports.disk import Disk

__all__ = ["DiskContract"]

DIGEST = Digest.of(b"layer")
BLOCK = 4096


class DiskContract:
    """Mix into a test class that has the fixtures ``store`` and ``disk``, of one another."""

    async def test_the_room_that_is_free_is_part_of_all_there_is(self, disk: Disk) -> None:
        space = disk.space()
        assert 0 < space.free <= space.total

    async def test_a_spool_is_found_with_what_it_takes_and_not_with_what_it_spans(
        self, store: BlobStore, disk: Disk
    ) -> None:
        spool = await store.spool(DIGEST)
        await spool.write(1 << 30, b"far behind")
        await spool.close()
        (found,) = (await disk.survey()).spools
        assert found.digest == DIGEST
        assert BLOCK <= found.size <= 16 * BLOCK
        assert found.written_at > 0

    async def test_a_spool_that_was_dropped_leaves_nothing_to_resume(
        self, store: BlobStore, disk: Disk
    ) -> None:
        spool = await store.spool(DIGEST)
        await spool.write(0, b"layer")
        await spool.close()
        await disk.drop_spool(DIGEST)
        await disk.drop_spool(DIGEST)
        assert (await disk.survey()).spools == []
        again = await store.spool(DIGEST)
        assert list(again.present) == []
        await again.close()

    async def test_blobs_are_no_part_of_what_lies_beside_them(self, store: BlobStore, disk: Disk) -> None:
        before = (await disk.survey()).beside
        spool = await store.spool(DIGEST)
        await spool.write(0, bytes(8 << 20))
        await spool.commit(8 << 20)
        await spool.close()
        survey = await disk.survey()
        assert survey.spools == []
        assert survey.beside < before + (1 << 20)
