"""What every catalogue must do, and every store that lets go of what it holds."""

from __future__ import annotations

from typing import Protocol

import pytest

from entrepot.oci.descriptor import Descriptor
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks
from entrepot.oci.reference import Repository
from entrepot.ports.catalogue import (
    Catalogue,
    Find,
    HeldBlob,
    HeldManifest,
    HeldRepository,
    HeldTag,
    Purged,
    Purges,
)
from entrepot.ports.metadata import KnownBlob, StoredManifest, Use
from entrepot.testing.metadata_contract import Metadata

__all__ = ["CatalogueContract", "Holdings", "PurgesContract"]

ALPINE = Repository("docker.io", "library/alpine")
DEMO = Repository("docker.io", "team/demo")
ELSEWHERE = Repository("ghcr.io", "team/demo")

SHARED, OWN = Digest.of(b"shared"), Digest.of(b"own")
LINKS = ManifestLinks(blobs=(Descriptor(SHARED, 6), Descriptor(OWN, 3)))


class Holdings(Metadata, Catalogue, Purges, Protocol):
    """All ports, as one store offers them."""


def _manifest(content: bytes) -> StoredManifest:
    return StoredManifest(Digest.of(content), "application/x", content)


ONE, TWO, INDEX = _manifest(b"one"), _manifest(b"two"), _manifest(b"index")


async def _tag(holdings: Holdings, repository: Repository, tag: str, manifest: StoredManifest) -> None:
    await holdings.record_tag(repository, tag, manifest.digest, 5.0)


async def _purge(holdings: Holdings, repository: Repository, *tags: str, dry_run: bool = False) -> Purged:
    choice = tags.__contains__ if tags else None
    return await holdings.purge(repository.__eq__, choice, dry_run=dry_run)


class CatalogueContract:
    """Mix into a test class that has a ``holdings`` fixture."""

    async def test_a_repository_tells_what_it_holds(self, holdings: Holdings) -> None:
        await holdings.record_manifest(ALPINE, ONE, LINKS, 1.0)
        await _tag(holdings, ALPINE, "1", ONE)
        await holdings.record_stored(SHARED, 6, 2.0)
        await holdings.record_uses([Use(ONE.digest, 7.0, 1)])
        found = await holdings.held_repositories(Find("repository"))
        assert (found.rows, found.total) == ([HeldRepository(ALPINE, 1, 1, 6, 7.0)], 1)

    async def test_repositories_are_filtered_by_upstream_and_text(self, holdings: Holdings) -> None:
        for repository in (ALPINE, DEMO, ELSEWHERE):
            await holdings.record_manifest(repository, ONE, LINKS, 1.0)
        of_docker = await holdings.held_repositories(Find("repository"), "docker.io")
        assert [row.repository for row in of_docker.rows] == [ALPINE, DEMO]
        demos = await holdings.held_repositories(Find("-repository", "/demo"))
        assert [row.repository for row in demos.rows] == [ELSEWHERE, DEMO]
        assert (await holdings.held_repositories(Find("repository", "%"))).total == 0

    async def test_repositories_are_sorted_by_size_and_by_last_use(self, holdings: Holdings) -> None:
        for repository, manifest, blob in ((ALPINE, ONE, SHARED), (DEMO, TWO, OWN)):
            await holdings.record_manifest(repository, manifest, ManifestLinks(), 1.0)
            await holdings.confirm_blob(repository, blob, None)
        await holdings.record_stored(SHARED, 6, 1.0)
        await holdings.record_uses([Use(TWO.digest, 9.0, 1)])
        for sort in ("-size", "last_used_at"):
            found = await holdings.held_repositories(Find(sort))
            assert [row.repository for row in found.rows] == [ALPINE, DEMO]

    async def test_pages_join_without_gap_or_overlap_though_all_rows_are_equal(
        self, holdings: Holdings
    ) -> None:
        for number in range(5):
            await _tag(holdings, ALPINE, f"t{number}", ONE)
        pages = [await holdings.held_tags(ALPINE, Find("-checked_at", "", at, 2)) for at in (0, 2, 4)]
        assert [row.tag for page in pages for row in page.rows] == ["t0", "t1", "t2", "t3", "t4"]
        assert {page.total for page in pages} == {5}

    async def test_a_tag_tells_of_its_manifest_where_that_is_held(self, holdings: Holdings) -> None:
        await holdings.record_manifest(ALPINE, ONE, LINKS, 1.0)
        await _tag(holdings, ALPINE, "here", ONE)
        await _tag(holdings, ALPINE, "gone", TWO)
        here = HeldTag("here", ONE.digest, 5.0, ONE.media_type, 3)
        gone = HeldTag("gone", TWO.digest, 5.0, None, None)
        assert (await holdings.held_tags(ALPINE, Find("-tag"))).rows == [here, gone]
        assert await holdings.held_tag(ALPINE, "gone") == gone
        assert await holdings.held_tag(DEMO, "gone") is None

    async def test_a_manifest_tells_of_its_use(self, holdings: Holdings) -> None:
        await holdings.record_manifest(ALPINE, ONE, LINKS, 1.0)
        await holdings.record_manifest(DEMO, TWO, LINKS, 1.0)
        await holdings.record_uses([Use(ONE.digest, 4.0, 2)])
        found = await holdings.held_manifests(ALPINE, Find("digest", ONE.digest.hex[:9]))
        assert found.rows == [HeldManifest(ONE.digest, ONE.media_type, 3, 1.0, 4.0, 2)]

    async def test_blobs_are_those_stored_of_all_or_of_one_repository(self, holdings: Holdings) -> None:
        await holdings.record_stored(SHARED, 6, 1.0)
        await holdings.record_stored(OWN, 3, 2.0)
        await holdings.confirm_blob(ALPINE, SHARED, 6)
        await holdings.confirm_blob(ALPINE, ONE.digest, 6)
        shared, own = HeldBlob(SHARED, 6, 1.0, 1.0, 0), HeldBlob(OWN, 3, 2.0, 2.0, 0)
        assert (await holdings.held_blobs(Find("size"))).rows == [own, shared]
        assert (await holdings.held_blobs(Find("size"), ALPINE)).rows == [shared]
        assert (await holdings.held_blob(OWN), await holdings.held_blob(ONE.digest)) == (own, None)

    async def test_a_blob_tells_who_holds_it(self, holdings: Holdings) -> None:
        for repository in (ELSEWHERE, ALPINE):
            await holdings.confirm_blob(repository, SHARED, 6)
        found = await holdings.holders(SHARED, Find("repository", "", 0, 1))
        assert (found.rows, found.total) == ([ALPINE], 2)


class PurgesContract:
    """Mix into a test class that has a ``holdings`` fixture."""

    async def test_a_purged_repository_is_gone_and_its_neighbours_are_not(self, holdings: Holdings) -> None:
        for repository in (DEMO, ELSEWHERE):
            await holdings.record_manifest(repository, ONE, LINKS, 1.0)
            await _tag(holdings, repository, "1", ONE)
            await holdings.record_tags(repository, b"[]", 1.0)
        purged = await _purge(holdings, DEMO)
        assert purged == Purged([DEMO], [(DEMO, "1")], [(DEMO, ONE.digest)], [])
        assert (holdings.manifest(DEMO, ONE.digest), holdings.tag(DEMO, "1")) == (None, None)
        assert (holdings.tags(DEMO), holdings.blob(DEMO, OWN)) == (None, None)
        assert holdings.manifest(ELSEWHERE, ONE.digest) == ONE
        assert holdings.tag(ELSEWHERE, "1") is not None

    async def test_what_only_the_purged_held_is_forgotten_and_its_stored_bytes_are_named(
        self, holdings: Holdings
    ) -> None:
        await holdings.record_manifest(DEMO, ONE, LINKS, 1.0)
        await holdings.confirm_blob(ALPINE, SHARED, 6)
        for digest, size in ((SHARED, 6), (OWN, 3)):
            await holdings.record_stored(digest, size, 1.0)
        purged = await _purge(holdings, DEMO)
        assert purged.blobs == [(OWN, 3)]
        assert holdings.manifest_anywhere(ONE.digest) is None
        assert (holdings.is_stored(OWN), holdings.is_stored(SHARED)) == (False, True)

    @pytest.mark.parametrize("tags", [(), ("1",)])
    async def test_a_dry_run_tells_the_same_and_changes_nothing(
        self, holdings: Holdings, tags: tuple[str, ...]
    ) -> None:
        await holdings.record_manifest(DEMO, ONE, LINKS, 1.0)
        await _tag(holdings, DEMO, "1", ONE)
        await holdings.record_stored(OWN, 3, 1.0)
        told = await _purge(holdings, DEMO, *tags, dry_run=True)
        assert holdings.manifest(DEMO, ONE.digest) == ONE
        assert holdings.tag(DEMO, "1") is not None
        assert holdings.is_stored(OWN)
        assert (
            told
            == await _purge(holdings, DEMO, *tags)
            == Purged([DEMO], [(DEMO, "1")], [(DEMO, ONE.digest)], [(OWN, 3)])
        )

    async def test_a_purged_tag_leaves_what_others_lead_to(self, holdings: Holdings) -> None:
        children = ManifestLinks(children=(Descriptor(ONE.digest, 3), Descriptor(TWO.digest, 3)))
        await holdings.record_manifest(DEMO, INDEX, children, 1.0)
        await holdings.record_manifest(DEMO, ONE, ManifestLinks(blobs=(Descriptor(OWN, 3),)), 1.0)
        await holdings.record_manifest(DEMO, TWO, ManifestLinks(blobs=(Descriptor(SHARED, 6),)), 1.0)
        await _tag(holdings, DEMO, "all", INDEX)
        await _tag(holdings, DEMO, "two", TWO)
        purged = await _purge(holdings, DEMO, "all")
        assert set(purged.manifests) == {(DEMO, INDEX.digest), (DEMO, ONE.digest)}
        assert holdings.manifest(DEMO, TWO.digest) == TWO
        assert (holdings.blob(DEMO, OWN), holdings.blob(DEMO, SHARED)) == (None, KnownBlob(6))
        assert holdings.tag(DEMO, "two") is not None

    async def test_a_manifest_that_was_pulled_by_its_digest_stays_when_a_tag_is_purged(
        self, holdings: Holdings
    ) -> None:
        await holdings.record_manifest(DEMO, ONE, LINKS, 1.0)
        await holdings.record_manifest(DEMO, TWO, LINKS, 1.0)
        await _tag(holdings, DEMO, "1", ONE)
        assert (await _purge(holdings, DEMO, "1")).manifests == [(DEMO, ONE.digest)]
        assert holdings.manifest(DEMO, TWO.digest) == TWO
        assert holdings.blob(DEMO, OWN) == KnownBlob(3)

    async def test_a_tag_that_shares_its_manifest_takes_nothing_with_it(self, holdings: Holdings) -> None:
        await holdings.record_manifest(DEMO, ONE, LINKS, 1.0)
        await _tag(holdings, DEMO, "1", ONE)
        await _tag(holdings, DEMO, "latest", ONE)
        assert await _purge(holdings, DEMO, "1") == Purged([DEMO], [(DEMO, "1")], [], [])
        assert holdings.manifest(DEMO, ONE.digest) == ONE

    async def test_where_nothing_matches_nothing_is_purged(self, holdings: Holdings) -> None:
        await holdings.record_manifest(DEMO, ONE, LINKS, 1.0)
        await _tag(holdings, DEMO, "1", ONE)
        assert await _purge(holdings, DEMO, "2") == await _purge(holdings, ALPINE) == Purged([], [], [], [])
