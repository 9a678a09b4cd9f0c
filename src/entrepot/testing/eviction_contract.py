"""What every metadata store must do for eviction."""

from __future__ import annotations

from entrepot.oci.descriptor import Descriptor
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks
from entrepot.ports.eviction import Candidate, Stored
from entrepot.ports.metadata import KnownBlob, StoredManifest, Use
from entrepot.testing.metadata_contract import (
    ALPINE,
    BUSYBOX,
    CONFIG,
    ELSEWHERE,
    INDEX,
    LAYER,
    LINKS,
    MANIFEST,
    Metadata,
)

__all__ = ["EvictionIndexContract"]


class EvictionIndexContract:
    """Mix into a test class that has a ``metadata`` fixture."""

    async def test_totals_are_in_step_with_what_is_stored_in_whole_blocks(self, metadata: Metadata) -> None:
        assert metadata.stored() == Stored(0, 0)
        await metadata.record_stored(LAYER, 1, 1.0)
        await metadata.record_stored(CONFIG, 4096, 1.0)
        assert metadata.stored() == Stored(2, 8192)
        await metadata.record_stored(LAYER, 4097, 2.0)
        assert metadata.stored() == Stored(2, 12288)
        await metadata.forget_stored(CONFIG)
        await metadata.forget_stored(CONFIG)
        assert metadata.stored() == Stored(1, 8192)

    async def test_what_is_used_least_goes_first_and_of_equals_the_one_used_least_recently(
        self, metadata: Metadata
    ) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 2.0)
        await metadata.record_stored(LAYER, 5, 3.0)
        await metadata.record_stored(CONFIG, 6, 1.0)
        await metadata.record_uses([Use(CONFIG, 4.0, 5)])
        page = metadata.lowest(None, 10)
        assert [(found.digest, found.is_manifest) for found in page] == [
            (MANIFEST.digest, True),
            (LAYER, False),
            (CONFIG, False),
        ]
        assert [found.size for found in page] == [2, 4096, 4096]

    async def test_pages_in_that_order_join_without_gap_or_overlap(self, metadata: Metadata) -> None:
        blobs = [Digest.of(bytes([number])) for number in range(7)]
        for digest in blobs:
            await metadata.record_stored(digest, 1, 1.0)
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        await metadata.record_manifest(ALPINE, INDEX, LINKS, 1.0)
        found: list[Candidate] = []
        while page := metadata.lowest(found[-1] if found else None, 2):
            assert len(page) <= 2
            found += page
        assert {each.digest for each in found} == {*blobs, MANIFEST.digest, INDEX.digest}
        assert len(found) == 9

    async def test_an_evicted_blob_is_stored_no_longer_but_still_named_by_its_manifest(
        self, metadata: Metadata
    ) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        await metadata.confirm_blob(BUSYBOX, LAYER, None)
        await metadata.record_stored(LAYER, 5, 1.0)
        await metadata.evict(metadata.candidates([LAYER]))
        assert not metadata.is_stored(LAYER)
        assert metadata.stored() == Stored(0, 0)
        assert metadata.blob(ALPINE, LAYER) == KnownBlob(5)
        assert metadata.blob(BUSYBOX, LAYER) is None

    async def test_with_a_manifest_go_its_tags_and_the_links_that_only_it_gave(
        self, metadata: Metadata
    ) -> None:
        other = StoredManifest(Digest.of(b"other"), MANIFEST.media_type, b"other")
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        await metadata.record_manifest(ALPINE, other, ManifestLinks(blobs=(Descriptor(CONFIG, 6),)), 1.0)
        await metadata.record_manifest(BUSYBOX, MANIFEST, LINKS, 1.0)
        await metadata.record_stored(LAYER, 5, 1.0)
        for tag, digest in (("gone", MANIFEST.digest), ("kept", other.digest)):
            await metadata.record_tag(ALPINE, tag, digest, 1.0)
        await metadata.record_referrers(ALPINE, MANIFEST.digest, b"{}", 1.0)
        await metadata.evict(metadata.candidates([MANIFEST.digest]))
        assert metadata.manifest(ALPINE, MANIFEST.digest) is None
        assert metadata.manifest_anywhere(MANIFEST.digest) is None
        assert metadata.tag(ALPINE, "gone") is None
        assert metadata.tag(ALPINE, "kept") is not None
        assert metadata.referrers(ALPINE, MANIFEST.digest) is None
        # Named by another manifest; not named, but stored; neither.
        assert metadata.blob(ALPINE, CONFIG) == KnownBlob(6)
        assert metadata.blob(ALPINE, LAYER) == KnownBlob(5)
        assert metadata.blob(BUSYBOX, CONFIG) is None

    async def test_a_repository_with_nothing_left_goes_and_its_lists_with_it(
        self, metadata: Metadata
    ) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        await metadata.record_manifest(BUSYBOX, INDEX, ManifestLinks(), 1.0)
        await metadata.record_stored(LAYER, 5, 1.0)
        for repository in (ALPINE, BUSYBOX):
            await metadata.record_tags(repository, b'["a"]', 1.0)
        await metadata.evict(metadata.candidates([MANIFEST.digest, LAYER]))
        assert metadata.tags(ALPINE) is None
        assert metadata.tags(BUSYBOX) is not None
        assert metadata.repositories(None, "", 10) == [str(BUSYBOX)]

    async def test_what_was_used_or_stored_again_since_it_was_looked_up_stays(
        self, metadata: Metadata
    ) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        await metadata.record_stored(LAYER, 5, 1.0)
        seen = metadata.candidates([MANIFEST.digest, LAYER])
        await metadata.record_uses([Use(MANIFEST.digest, 2.0, 1)])
        await metadata.record_stored(LAYER, 5, 2.0)
        await metadata.evict(seen)
        assert metadata.manifest(ALPINE, MANIFEST.digest) == MANIFEST
        assert metadata.is_stored(LAYER)

    async def test_what_may_not_go_is_put_behind_what_may(self, metadata: Metadata) -> None:
        blobs = [Digest.of(bytes([number])) for number in range(4)]
        for now, digest in enumerate(blobs):
            await metadata.record_stored(digest, 1, float(now))
        spared = metadata.lowest(None, 2)
        await metadata.advance(spared[-1].priority, spared)
        assert [found.digest for found in metadata.lowest(None, 2)] == blobs[2:]

    async def test_what_is_spared_was_not_used_for_that(self, metadata: Metadata) -> None:
        await metadata.record_stored(LAYER, 1, 1e9)
        spared = metadata.lowest(None, 1)
        await metadata.advance(spared[-1].priority, spared)
        assert [found.last_used_at for found in metadata.lowest(None, 1)] == [1e9]

    async def test_what_comes_after_an_eviction_comes_before_old_merit(self, metadata: Metadata) -> None:
        old, new = Digest.of(b"old"), Digest.of(b"new")
        await metadata.record_stored(old, 1, 1.0)
        await metadata.record_uses([Use(old, 2.0, 9)])
        await metadata.advance(20.0, [])
        await metadata.record_stored(new, 1, 3.0)
        assert [found.digest for found in metadata.lowest(None, 2)] == [old, new]

    async def test_a_blob_is_charged_to_the_upstream_first_known_to_hold_it(self, metadata: Metadata) -> None:
        assert metadata.charges() == {}
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        await metadata.record_stored(LAYER, 1, 1.0)
        await metadata.record_stored(CONFIG, 4097, 1.0)
        await metadata.confirm_blob(ELSEWHERE, LAYER, 1)
        assert metadata.charges() == {"docker.io": 3 * 4096}

    async def test_a_blob_that_nobody_held_is_charged_to_the_first_who_does(self, metadata: Metadata) -> None:
        for digest in (LAYER, CONFIG):
            await metadata.record_stored(digest, 1, 1.0)
        assert metadata.charges() == {}
        await metadata.confirm_blob(ELSEWHERE, LAYER, 1)
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        assert metadata.charges() == {"docker.io": 4096, "ghcr.io": 4096}

    async def test_charges_are_in_step_with_what_is_stored(self, metadata: Metadata) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        for digest in (LAYER, CONFIG):
            await metadata.record_stored(digest, 1, 1.0)
        await metadata.record_stored(LAYER, 4097, 2.0)
        assert metadata.charges() == {"docker.io": 3 * 4096}
        await metadata.evict(metadata.candidates([LAYER]))
        await metadata.forget_stored(CONFIG)
        assert metadata.charges() == {"docker.io": 0}

    async def test_the_blobs_of_one_upstream_go_in_the_same_order(self, metadata: Metadata) -> None:
        blobs = [Digest.of(bytes([number])) for number in range(6)]
        for now, digest in enumerate(blobs):
            await metadata.confirm_blob(ELSEWHERE if now % 2 else ALPINE, digest, 1)
            await metadata.record_stored(digest, 1, float(-now))
        await metadata.record_manifest(ELSEWHERE, MANIFEST, LINKS, -9.0)
        found: list[Candidate] = []
        while page := metadata.lowest(found[-1] if found else None, 2, "ghcr.io"):
            found += page
        assert [candidate.digest for candidate in found] == [blobs[5], blobs[3], blobs[1]]
        assert metadata.lowest(None, 2, "quay.io") == []

    async def test_unknown_content_is_no_candidate(self, metadata: Metadata) -> None:
        assert metadata.candidates([LAYER]) == []
        assert await metadata.evict([]) == []

    async def test_room_that_evicted_manifests_leave_is_given_back_in_steps(self, metadata: Metadata) -> None:
        large = [bytes([number]) * (1 << 20) for number in range(4)]
        digests = [Digest.of(content) for content in large]
        for digest, content in zip(digests, large, strict=True):
            manifest = StoredManifest(digest, "text/any", content)
            await metadata.record_manifest(ALPINE, manifest, ManifestLinks(), 1.0)
        await metadata.evict(metadata.candidates(digests))
        steps = 0
        while await metadata.give_back():
            steps += 1
        assert 1 < steps < 10

    async def test_what_no_content_gives_a_reason_to_keep_is_cleaned_up(self, metadata: Metadata) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, LINKS, 1.0)
        await metadata.confirm_blob(ALPINE, INDEX.digest, 5)
        await metadata.record_tag(ALPINE, "held", MANIFEST.digest, 1.0)
        await metadata.record_tag(ALPINE, "stale", INDEX.digest, 1.0)
        await metadata.record_referrers(BUSYBOX, LAYER, b"{}", 1.0)
        await metadata.record_tags(ELSEWHERE, b"[]", 3.0)
        last, seen = 0, 0
        while (cleaned := await metadata.clean(last, 2.0)) is not None:
            last, seen = cleaned, seen + 1
        assert seen == 3
        assert metadata.blob(ALPINE, LAYER) == KnownBlob(5)
        assert metadata.blob(ALPINE, INDEX.digest) is None
        assert metadata.tag(ALPINE, "held") is not None
        assert metadata.tag(ALPINE, "stale") is None
        assert metadata.referrers(BUSYBOX, LAYER) is None
        assert metadata.tags(ELSEWHERE) is not None
