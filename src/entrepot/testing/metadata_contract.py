"""What every metadata store must do."""

from __future__ import annotations

import asyncio
from typing import Protocol

from entrepot.oci.descriptor import Descriptor
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks
from entrepot.oci.reference import Repository
from entrepot.ports.eviction import EvictionIndex, LeftBehind
from entrepot.ports.metadata import (
    BlobIndex,
    Contents,
    KnownBlob,
    Listing,
    Listings,
    ManifestIndex,
    StoredBlobs,
    StoredManifest,
    TagRecord,
    Use,
)

__all__ = [
    "BlobIndexContract",
    "ContentsContract",
    "ListingsContract",
    "ManifestIndexContract",
    "Metadata",
    "StoredBlobsContract",
]

ALPINE = Repository("docker.io", "library/alpine")
BUSYBOX = Repository("docker.io", "library/busybox")
ELSEWHERE = Repository("ghcr.io", "library/alpine")

LAYER = Digest.of(b"layer")
CONFIG = Digest.of(b"config", "sha512")
MANIFEST = StoredManifest(Digest.of(b"{}"), "application/vnd.oci.image.manifest.v1+json", b"{}")
INDEX = StoredManifest(Digest.of(b'{"\x00": \xff}'), "text/any; charset=x", b'{"\x00": \xff}')
LINKS = ManifestLinks(blobs=(Descriptor(CONFIG, 6), Descriptor(LAYER, 5)))


class Metadata(
    ManifestIndex, BlobIndex, StoredBlobs, Contents, Listings, EvictionIndex, LeftBehind, Protocol
):
    """All ports, as one store offers them."""


class ManifestIndexContract:
    """Mix into a test class that has a ``metadata`` fixture."""

    async def test_a_manifest_reads_back_verbatim_where_it_was_recorded(self, metadata: Metadata) -> None:
        await metadata.record_manifest(ALPINE, INDEX, ManifestLinks(), 1.0)
        assert metadata.manifest(ALPINE, INDEX.digest) == INDEX

    async def test_another_repository_does_not_hold_it(self, metadata: Metadata) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        assert metadata.manifest(BUSYBOX, MANIFEST.digest) is None
        assert metadata.manifest(ELSEWHERE, MANIFEST.digest) is None

    async def test_it_is_found_anywhere_by_its_digest(self, metadata: Metadata) -> None:
        assert metadata.manifest_anywhere(MANIFEST.digest) is None
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        assert metadata.manifest_anywhere(MANIFEST.digest) == MANIFEST

    async def test_a_child_is_found_where_an_index_is_held_that_names_it(self, metadata: Metadata) -> None:
        named = ManifestLinks(children=(Descriptor(MANIFEST.digest, 2, "application/child"),))
        await metadata.record_manifest(ALPINE, INDEX, named, 1.0)
        assert metadata.child(ALPINE, MANIFEST.digest) is None
        await metadata.record_manifest(BUSYBOX, MANIFEST, LINKS, 2.0)
        called = StoredManifest(MANIFEST.digest, "application/child", MANIFEST.content)
        assert metadata.child(ALPINE, MANIFEST.digest) == called
        assert metadata.manifest(ALPINE, MANIFEST.digest) is None
        assert metadata.child(BUSYBOX, MANIFEST.digest) is None
        assert metadata.child(ELSEWHERE, MANIFEST.digest) is None
        assert metadata.child(ALPINE, INDEX.digest) is None

    async def test_a_child_that_the_index_gives_no_type_is_not_found(self, metadata: Metadata) -> None:
        nameless = ManifestLinks(children=(Descriptor(MANIFEST.digest),))
        await metadata.record_manifest(ALPINE, INDEX, nameless, 1.0)
        await metadata.record_manifest(BUSYBOX, MANIFEST, LINKS, 2.0)
        assert metadata.child(ALPINE, MANIFEST.digest) is None

    async def test_the_same_bytes_keep_the_media_type_of_each_repository(self, metadata: Metadata) -> None:
        renamed = StoredManifest(MANIFEST.digest, "application/other", MANIFEST.content)
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        await metadata.record_manifest(ELSEWHERE, renamed, LINKS, 2.0)
        assert metadata.manifest(ALPINE, MANIFEST.digest) == MANIFEST
        assert metadata.manifest(ELSEWHERE, MANIFEST.digest) == renamed

    async def test_recording_again_takes_the_newer_media_type(self, metadata: Metadata) -> None:
        renamed = StoredManifest(MANIFEST.digest, "application/other", MANIFEST.content)
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        await metadata.record_manifest(ALPINE, renamed, LINKS, 2.0)
        assert metadata.manifest(ALPINE, MANIFEST.digest) == renamed

    async def test_a_tag_means_what_was_said_last(self, metadata: Metadata) -> None:
        await metadata.record_tag(ALPINE, "3.20", MANIFEST.digest, 1.5)
        assert metadata.tag(ALPINE, "3.20") == TagRecord(MANIFEST.digest, 1.5)
        await metadata.record_tag(ALPINE, "3.20", CONFIG, 2.25)
        assert metadata.tag(ALPINE, "3.20") == TagRecord(CONFIG, 2.25)

    async def test_a_tag_is_its_repositorys_and_its_case_counts(self, metadata: Metadata) -> None:
        await metadata.record_tag(ALPINE, "edge", MANIFEST.digest, 1.0)
        assert metadata.tag(ELSEWHERE, "edge") is None
        assert metadata.tag(ALPINE, "Edge") is None

    async def test_a_forgotten_tag_is_gone_and_its_neighbours_are_not(self, metadata: Metadata) -> None:
        for repository, tag in ((ALPINE, "a"), (ALPINE, "b"), (BUSYBOX, "a")):
            await metadata.record_tag(repository, tag, MANIFEST.digest, 1.0)
        await metadata.forget_tag(ALPINE, "a")
        assert metadata.tag(ALPINE, "a") is None
        assert metadata.tag(ALPINE, "b") is not None
        assert metadata.tag(BUSYBOX, "a") is not None

    async def test_forgetting_an_unknown_tag_is_no_failure(self, metadata: Metadata) -> None:
        await metadata.forget_tag(ALPINE, "never")

    async def test_a_manifest_may_link_to_the_same_thing_twice(self, metadata: Metadata) -> None:
        twice = ManifestLinks(
            blobs=(Descriptor(LAYER), Descriptor(LAYER)), children=(Descriptor(CONFIG), Descriptor(CONFIG))
        )
        await metadata.record_manifest(ALPINE, MANIFEST, twice, 1.0)
        assert metadata.manifest(ALPINE, MANIFEST.digest) == MANIFEST

    async def test_a_manifest_may_be_its_own_relative(self, metadata: Metadata) -> None:
        itself = Descriptor(MANIFEST.digest)
        links = ManifestLinks(blobs=(itself,), children=(itself,), subject=itself)
        await metadata.record_manifest(ALPINE, MANIFEST, links, 1.0)
        assert metadata.manifest(ALPINE, MANIFEST.digest) == MANIFEST

    async def test_changes_made_at_once_take_effect_in_order(self, metadata: Metadata) -> None:
        async with asyncio.TaskGroup() as group:
            for now in range(20):
                digest = Digest.of(str(now).encode())
                group.create_task(metadata.record_tag(ALPINE, "busy", digest, float(now)))
        assert metadata.tag(ALPINE, "busy") == TagRecord(Digest.of(b"19"), 19.0)


class BlobIndexContract:
    """Mix into a test class that has a ``metadata`` fixture."""

    async def test_a_blob_is_known_by_the_manifest_that_names_it(self, metadata: Metadata) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        assert metadata.blob(ALPINE, LAYER) == KnownBlob(5)
        assert metadata.blob(ALPINE, CONFIG) == KnownBlob(6)

    async def test_only_the_repository_of_that_manifest_holds_it(self, metadata: Metadata) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        assert metadata.blob(BUSYBOX, LAYER) is None
        assert metadata.blob(ELSEWHERE, LAYER) is None

    async def test_the_same_manifest_in_a_second_repository_names_its_blobs_there(
        self, metadata: Metadata
    ) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        await metadata.record_manifest(BUSYBOX, MANIFEST, LINKS, 2.0)
        assert metadata.blob(BUSYBOX, LAYER) == KnownBlob(5)

    async def test_a_manifests_children_and_subject_are_no_blobs(self, metadata: Metadata) -> None:
        links = ManifestLinks(children=(Descriptor(LAYER, 5),), subject=Descriptor(CONFIG, 6))
        await metadata.record_manifest(ALPINE, INDEX, links, 1.0)
        assert metadata.blob(ALPINE, LAYER) is None
        assert metadata.blob(ALPINE, CONFIG) is None

    async def test_a_blob_is_known_once_it_is_confirmed(self, metadata: Metadata) -> None:
        await metadata.confirm_blob(ALPINE, LAYER, 5)
        assert metadata.blob(ALPINE, LAYER) == KnownBlob(5)
        assert metadata.blob(ELSEWHERE, LAYER) is None

    async def test_a_size_that_nobody_told_is_learnt_later(self, metadata: Metadata) -> None:
        await metadata.confirm_blob(ALPINE, LAYER, None)
        assert metadata.blob(ALPINE, LAYER) == KnownBlob(None)
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        assert metadata.blob(ALPINE, LAYER) == KnownBlob(5)

    async def test_a_known_size_is_not_unlearnt(self, metadata: Metadata) -> None:
        await metadata.confirm_blob(ALPINE, LAYER, 5)
        await metadata.confirm_blob(ALPINE, LAYER, None)
        await metadata.record_manifest(ALPINE, MANIFEST, ManifestLinks(blobs=(Descriptor(LAYER),)), 1.0)
        assert metadata.blob(ALPINE, LAYER) == KnownBlob(5)

    async def test_the_upstreams_word_on_a_size_beats_a_manifests(self, metadata: Metadata) -> None:
        liar = ManifestLinks(blobs=(Descriptor(LAYER, 7),))
        await metadata.record_manifest(ALPINE, MANIFEST, liar, 1.0)
        await metadata.confirm_blob(ALPINE, LAYER, 5)
        await metadata.record_manifest(ALPINE, MANIFEST, liar, 2.0)
        assert metadata.blob(ALPINE, LAYER) == KnownBlob(5)

    async def test_a_size_beyond_measure_is_none_that_was_told(self, metadata: Metadata) -> None:
        absurd = ManifestLinks(blobs=(Descriptor(LAYER, 10**30),))
        await metadata.record_manifest(ALPINE, MANIFEST, absurd, 1.0)
        await metadata.confirm_blob(BUSYBOX, LAYER, 10**30)
        assert metadata.blob(ALPINE, LAYER) == KnownBlob(None)
        assert metadata.blob(BUSYBOX, LAYER) == KnownBlob(None)

    async def test_what_is_stored_makes_no_repository_hold_it(self, metadata: Metadata) -> None:
        await metadata.record_stored(LAYER, 5, 1.0)
        assert metadata.blob(ALPINE, LAYER) is None

    async def test_losing_the_bytes_leaves_known_who_holds_them(self, metadata: Metadata) -> None:
        await metadata.confirm_blob(ALPINE, LAYER, 5)
        await metadata.record_stored(LAYER, 5, 1.0)
        await metadata.record_stored(LAYER, 5, 2.0)
        await metadata.forget_stored(LAYER)
        await metadata.forget_stored(LAYER)
        assert metadata.blob(ALPINE, LAYER) == KnownBlob(5)

    async def test_uses_of_known_and_unknown_content_are_taken_alike(self, metadata: Metadata) -> None:
        await metadata.record_stored(LAYER, 5, 1.0)
        await metadata.record_uses([])
        await metadata.record_uses([Use(LAYER, 2.0, 3), Use(CONFIG, 2.0, 1)])


class StoredBlobsContract:
    """Mix into a test class that has a ``metadata`` fixture."""

    async def test_a_blob_is_stored_from_its_record_until_it_is_forgotten(self, metadata: Metadata) -> None:
        await metadata.confirm_blob(ALPINE, LAYER, 5)
        assert not metadata.is_stored(LAYER)
        await metadata.record_stored(LAYER, 5, 1.0)
        assert metadata.is_stored(LAYER)
        await metadata.forget_stored(LAYER)
        assert not metadata.is_stored(LAYER)

    async def test_pages_of_what_is_stored_join_without_gap_or_overlap(self, metadata: Metadata) -> None:
        stored = {Digest.of(bytes([number]), name) for number in range(5) for name in ("sha256", "sha512")}
        for digest in stored:
            await metadata.record_stored(digest, 1, 1.0)
        pages: list[Digest] = []
        while page := metadata.stored_after(pages[-1] if pages else None, 3):
            assert len(page) <= 3
            pages += page
        assert pages == sorted(stored, key=str)


class ContentsContract:
    """Mix into a test class that has a ``metadata`` fixture."""

    async def test_all_manifests_can_be_paged_through(self, metadata: Metadata) -> None:
        kept = [StoredManifest(Digest.of(b"%d" % number), "a/b", b"%d" % number) for number in range(5)]
        for manifest in kept:
            await metadata.record_manifest(ALPINE, manifest, ManifestLinks(), 1.0)
        names = sorted((manifest.digest for manifest in kept), key=str)
        assert metadata.manifests_after(None, 3) == names[:3]
        assert metadata.manifests_after(names[2], 3) == names[3:]
        assert metadata.manifests_after(names[-1], 3) == []

    async def test_what_a_repository_holds_can_be_paged_through(self, metadata: Metadata) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        await metadata.record_manifest(BUSYBOX, INDEX, ManifestLinks(), 1.0)
        assert metadata.manifests_of(ALPINE, None, 9) == [MANIFEST.digest]
        assert metadata.manifests_of(ALPINE, MANIFEST.digest, 9) == []
        assert metadata.blobs_of(ALPINE, None, 9) == [LAYER, CONFIG]
        assert metadata.blobs_of(ALPINE, LAYER, 9) == [CONFIG]
        assert metadata.blobs_of(BUSYBOX, None, 9) == []

    async def test_a_forgotten_manifest_is_nowhere_until_it_is_recorded_again(
        self, metadata: Metadata
    ) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        assert metadata.content(MANIFEST.digest) == MANIFEST.content
        await metadata.forget_manifest(MANIFEST.digest)
        assert metadata.content(MANIFEST.digest) is None
        assert metadata.manifest(ALPINE, MANIFEST.digest) is None
        assert metadata.manifests_of(ALPINE, None, 9) == []
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 2.0)
        assert metadata.manifest(ALPINE, MANIFEST.digest) == MANIFEST

    async def test_the_bytes_of_stored_blobs_add_up(self, metadata: Metadata) -> None:
        assert metadata.stored_bytes() == 0
        await metadata.record_stored(LAYER, 5 << 40, 1.0)
        await metadata.record_stored(CONFIG, 6, 1.0)
        assert metadata.stored_bytes() == (5 << 40) + 6

    async def test_upstreams_are_known_by_what_is_known_of_them(self, metadata: Metadata) -> None:
        assert metadata.upstreams() == []
        await metadata.confirm_blob(Repository("quay.io", "app"), LAYER, None)
        for repository in (ALPINE, BUSYBOX):
            await metadata.record_manifest(repository, MANIFEST, LINKS, 1.0)
        assert metadata.upstreams() == ["docker.io", "quay.io"]


class ListingsContract:
    """Mix into a test class that has a ``metadata`` fixture."""

    async def test_the_catalogue_has_repositories_whose_manifests_are_cached(
        self, metadata: Metadata
    ) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        await metadata.record_tag(BUSYBOX, "latest", MANIFEST.digest, 1.0)
        await metadata.record_tags(BUSYBOX, b"[]", 1.0)
        assert metadata.repositories(None, "", 10) == ["docker.io/library/alpine"]
        assert metadata.repositories("docker.io", "", 10) == ["library/alpine"]
        assert metadata.repositories("ghcr.io", "", 10) == []

    async def test_pages_of_the_catalogue_join_without_gap_or_overlap(self, metadata: Metadata) -> None:
        # "." and "-" sort before "/": the order is that of whole paths, not of pairs.
        pairs = [("a", "z"), ("a", "b/c"), ("a-b", "x"), ("a.b", "y"), ("a.b", "a"), ("b", "_")]
        for upstream, name in pairs:
            await metadata.record_manifest(Repository(upstream, name), MANIFEST, LINKS, 1.0)
        pages: list[str] = []
        while page := metadata.repositories(None, pages[-1] if pages else "", 2):
            pages += page
        assert pages == sorted(f"{upstream}/{name}" for upstream, name in pairs)

    async def test_pages_of_one_upstream_begin_after_a_name(self, metadata: Metadata) -> None:
        for name in ("c", "a", "b", "d"):
            await metadata.record_manifest(Repository("ghcr.io", name), MANIFEST, LINKS, 1.0)
        await metadata.record_manifest(BUSYBOX, MANIFEST, LINKS, 1.0)
        assert metadata.repositories("ghcr.io", "a", 2) == ["b", "c"]
        assert metadata.repositories("ghcr.io", "bb", 9) == ["c", "d"]

    async def test_cached_tags_are_those_whose_manifest_this_repository_holds(
        self, metadata: Metadata
    ) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        await metadata.record_manifest(BUSYBOX, INDEX, LINKS, 1.0)
        for tag, manifest, now in (("b", MANIFEST, 3.0), ("a", MANIFEST, 2.0), ("c", INDEX, 1.0)):
            await metadata.record_tag(ALPINE, tag, manifest.digest, now)
        assert metadata.cached_tags(ALPINE) == Listing(b'["a","b"]', 2.0)
        assert metadata.cached_tags(ELSEWHERE) is None

    async def test_the_last_list_of_tags_is_kept(self, metadata: Metadata) -> None:
        assert metadata.tags(ALPINE) is None
        await metadata.record_tags(ALPINE, b'["a"]', 1.0)
        await metadata.record_tags(ALPINE, b'["a","b"]', 2.5)
        assert metadata.tags(ALPINE) == Listing(b'["a","b"]', 2.5)
        assert metadata.tags(BUSYBOX) is None

    async def test_the_last_referrers_of_each_subject_are_kept(self, metadata: Metadata) -> None:
        assert metadata.referrers(ALPINE, LAYER) is None
        await metadata.record_referrers(ALPINE, LAYER, b"{}", 1.0)
        await metadata.record_referrers(ALPINE, LAYER, b'{"manifests":[]}', 2.5)
        assert metadata.referrers(ALPINE, LAYER) == Listing(b'{"manifests":[]}', 2.5)
        assert metadata.referrers(ALPINE, CONFIG) is None
        assert metadata.referrers(BUSYBOX, LAYER) is None
