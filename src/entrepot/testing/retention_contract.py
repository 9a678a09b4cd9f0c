"""What every store of pins, and of what rules of retention judge by, must do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from entrepot.oci.descriptor import Descriptor
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks
from entrepot.oci.reference import Repository
from entrepot.policy.retention import Holder, Pin
from entrepot.ports.metadata import BlobIndex, ManifestIndex, StoredManifest, Use
from entrepot.ports.retention import Content, Pins, RetentionIndex, SetPin

__all__ = ["PinsContract", "RetentionIndexContract", "RetentionMetadata"]

ALPINE = Repository("docker.io", "library/alpine")
BUSYBOX = Repository("docker.io", "library/busybox")
ELSEWHERE = Repository("ghcr.io", "library/alpine")

LAYER = Digest.of(b"layer")
MANIFEST = StoredManifest(Digest.of(b"{}"), "application/manifest", b"{}")
INDEX = StoredManifest(Digest.of(b"[]"), "application/index", b"[]")
OUTER = StoredManifest(Digest.of(b"[[]]"), "application/index", b"[[]]")
NAMES_LAYER = ManifestLinks(blobs=(Descriptor(LAYER, 5),))
NAMES_MANIFEST = ManifestLinks(children=(Descriptor(MANIFEST.digest),))
NAMES_INDEX = ManifestLinks(children=(Descriptor(INDEX.digest), Descriptor(OUTER.digest)))


class RetentionMetadata(RetentionIndex, ManifestIndex, BlobIndex, Protocol):
    """What is recorded by one port is judged by another."""


class RetentionIndexContract:
    """Mix into a test class that has a ``metadata`` fixture."""

    async def test_what_was_unused_longest_comes_first_blobs_and_manifests_alike(
        self, metadata: RetentionMetadata
    ) -> None:
        await metadata.record_stored(LAYER, 5, 1.0)
        await metadata.record_manifest(ALPINE, MANIFEST, NAMES_LAYER, 2.0)
        await metadata.record_manifest(ALPINE, INDEX, NAMES_MANIFEST, 3.0)
        await metadata.record_uses([Use(LAYER, 4.0, 1)])
        found = await metadata.unused_since(9.0, None, 9)
        assert found == [
            Content(MANIFEST.digest, 2.0, 2.0),
            Content(INDEX.digest, 3.0, 3.0),
            Content(LAYER, 1.0, 4.0),
        ]
        assert await metadata.unused_since(3.0, None, 9) == found[:2]
        assert await metadata.unused_since(1.9, None, 9) == []

    async def test_what_was_fetched_first_comes_first_however_it_is_used(
        self, metadata: RetentionMetadata
    ) -> None:
        await metadata.record_stored(LAYER, 5, 1.0)
        await metadata.record_manifest(ALPINE, MANIFEST, NAMES_LAYER, 2.0)
        await metadata.record_uses([Use(LAYER, 4.0, 1)])
        found = await metadata.fetched_before(9.0, None, 9)
        assert found == [Content(LAYER, 1.0, 4.0), Content(MANIFEST.digest, 2.0, 2.0)]
        assert await metadata.fetched_before(1.0, None, 9) == found[:1]

    async def test_pages_join_without_gap_or_overlap_where_times_are_equal(
        self, metadata: RetentionMetadata
    ) -> None:
        for number in range(7):
            content = str(number).encode()
            await metadata.record_stored(Digest.of(content), 1, 1.0 + number % 2)
            manifest = StoredManifest(Digest.of(content, "sha512"), "application/any", content)
            await metadata.record_manifest(ALPINE, manifest, ManifestLinks(), 1.0)
        for page in (metadata.unused_since, metadata.fetched_before):
            found = await _all_pages(page)
            assert len(found) == len({content.digest for content in found}) == 14
            assert [content.fetched_at for content in found] == [1.0] * 11 + [2.0] * 3

    async def test_a_repository_holds_its_manifests_and_their_blobs(
        self, metadata: RetentionMetadata
    ) -> None:
        await metadata.record_manifest(ALPINE, MANIFEST, NAMES_LAYER, 1.0)
        await metadata.confirm_blob(ELSEWHERE, LAYER, 5)
        holders = await metadata.holders_of([LAYER, MANIFEST.digest, INDEX.digest], with_tags=False)
        assert set(holders[LAYER]) == {Holder(ALPINE), Holder(ELSEWHERE)}
        assert holders[MANIFEST.digest] == [Holder(ALPINE)]
        assert INDEX.digest not in holders

    async def test_a_tag_leads_to_its_manifest_the_children_of_it_and_their_blobs(
        self, metadata: RetentionMetadata
    ) -> None:
        await _record_nested(metadata)
        await metadata.record_tag(ALPINE, "1", OUTER.digest, 1.0)
        await metadata.record_tag(ALPINE, "2", INDEX.digest, 1.0)
        digests = [LAYER, MANIFEST.digest, INDEX.digest, OUTER.digest]
        holders = await metadata.holders_of(digests, with_tags=True)
        tags = {digest: {tag for held in holders[digest] for tag in held.tags} for digest in digests}
        assert tags == {
            LAYER: {"1", "2"},
            MANIFEST.digest: {"1", "2"},
            INDEX.digest: {"1", "2"},
            OUTER.digest: {"1"},
        }
        plain = await metadata.holders_of(digests, with_tags=False)
        assert [held.tags for held in plain[LAYER]] == [()]

    async def test_each_repository_has_the_tags_of_its_own(self, metadata: RetentionMetadata) -> None:
        for repository, tag in ((ALPINE, "a"), (BUSYBOX, "b")):
            await metadata.record_manifest(repository, MANIFEST, NAMES_LAYER, 1.0)
            await metadata.record_tag(repository, tag, MANIFEST.digest, 1.0)
        holders = await metadata.holders_of([LAYER], with_tags=True)
        assert set(holders[LAYER]) == {Holder(ALPINE, ("a",)), Holder(BUSYBOX, ("b",))}

    async def test_a_tag_that_moves_leads_to_the_new_content_and_no_more_to_the_old(
        self, metadata: RetentionMetadata
    ) -> None:
        newer = Digest.of(b"newer layer")
        await metadata.record_manifest(ALPINE, MANIFEST, NAMES_LAYER, 1.0)
        await metadata.record_manifest(ALPINE, INDEX, ManifestLinks(blobs=(Descriptor(newer, 5),)), 1.0)
        for manifest in (MANIFEST, INDEX):
            await metadata.record_tag(ALPINE, "1", manifest.digest, 1.0)
        holders = await metadata.holders_of([LAYER, newer], with_tags=True)
        assert holders == {LAYER: [Holder(ALPINE)], newer: [Holder(ALPINE, ("1",))]}

    async def test_manifests_that_name_each_other_are_followed_once(
        self, metadata: RetentionMetadata
    ) -> None:
        for manifest, child in ((MANIFEST, INDEX), (INDEX, MANIFEST)):
            links = ManifestLinks(blobs=(Descriptor(LAYER),), children=(Descriptor(child.digest),))
            await metadata.record_manifest(ALPINE, manifest, links, 1.0)
        await metadata.record_tag(ALPINE, "1", INDEX.digest, 1.0)
        holders = await metadata.holders_of([LAYER], with_tags=True)
        assert holders == {LAYER: [Holder(ALPINE, ("1",))]}


class PinsContract:
    """Mix into a test class that has a ``pins`` fixture."""

    async def test_pins_are_kept_until_they_are_removed(self, pins: Pins) -> None:
        tagged, plain = Pin("library/*", "16*"), Pin("library/*")
        await pins.set_pin("ghcr.io", plain, 1.0)
        await pins.set_pin("docker.io", tagged, 2.0)
        await pins.set_pin("docker.io", plain, 3.0)
        assert pins.pins() == [
            SetPin("docker.io", plain, 3.0),
            SetPin("docker.io", tagged, 2.0),
            SetPin("ghcr.io", plain, 1.0),
        ]
        assert await pins.remove_pin("docker.io", plain)
        assert not await pins.remove_pin("docker.io", plain)
        assert [known.pin for known in pins.pins()] == [tagged, plain]

    async def test_a_pin_that_is_set_again_is_not_new_and_as_old_as_it_was(self, pins: Pins) -> None:
        assert await pins.set_pin("docker.io", Pin("a"), 1.0)
        assert not await pins.set_pin("docker.io", Pin("a"), 2.0)
        assert pins.pins() == [SetPin("docker.io", Pin("a"), 1.0)]


async def _record_nested(metadata: RetentionMetadata) -> None:
    """Record an index of an index of a manifest of a layer."""
    await metadata.record_manifest(ALPINE, MANIFEST, NAMES_LAYER, 1.0)
    await metadata.record_manifest(ALPINE, INDEX, NAMES_MANIFEST, 1.0)
    await metadata.record_manifest(ALPINE, OUTER, NAMES_INDEX, 1.0)


async def _all_pages(page: Callable[[float, Content | None, int], Awaitable[list[Content]]]) -> list[Content]:
    found: list[Content] = []
    while more := await page(9.0, found[-1] if found else None, 4):
        assert len(more) <= 4
        found += more
    return found
