"""What every upstream must do, whatever it speaks to."""

from __future__ import annotations

import asyncio
import json

import pytest

from entrepot.errors import BlobNotHere, ManifestNotHere
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Tag
from entrepot.policy.breaker import Health
from entrepot.ports.upstream import Inflow, Upstream
from entrepot.testing.registry_content import Image, RegistryContent

__all__ = ["UpstreamContract"]

REPOSITORY = "library/app"
LAYER = bytes(range(256)) * 1024
ABSENT = Digest.of(b"absent")


def _taken(inflow: Inflow) -> bytes:
    buffer = bytearray(1 << 20)
    return bytes(buffer[: inflow.read_into(memoryview(buffer))])


class UpstreamContract:
    """Mix into a test class with a ``content`` fixture and an ``upstream`` fixture that serves it."""

    @pytest.fixture
    def image(self, content: RegistryContent) -> Image:
        return content.add_image(REPOSITORY, "1", layers=[LAYER])

    async def test_a_head_names_what_a_get_brings(self, upstream: Upstream, image: Image) -> None:
        head = await upstream.head_manifest(REPOSITORY, Tag("1"))
        fetched = await upstream.get_manifest(REPOSITORY, Tag("1"))
        assert (head.digest, head.size) == (image.digest, len(image.content))
        assert (fetched.digest, fetched.content) == (image.digest, image.content)
        assert head.media_type == fetched.media_type

    async def test_a_digest_brings_the_bytes_it_names(self, upstream: Upstream, image: Image) -> None:
        assert (await upstream.get_manifest(REPOSITORY, image.digest)).content == image.content

    async def test_what_is_absent_is_not_here(self, upstream: Upstream, image: Image) -> None:
        with pytest.raises(ManifestNotHere):
            await upstream.get_manifest(REPOSITORY, Tag("absent"))
        with pytest.raises(ManifestNotHere):
            await upstream.head_manifest(REPOSITORY, ABSENT)
        with pytest.raises(BlobNotHere):
            await upstream.head_blob(REPOSITORY, ABSENT)
        with pytest.raises(BlobNotHere):
            async with upstream.open_blob(REPOSITORY, ABSENT):
                pytest.fail(f"{image.digest} is the only thing there")

    async def test_a_blob_is_confirmed_with_its_size(self, upstream: Upstream, image: Image) -> None:
        assert await upstream.head_blob(REPOSITORY, image.layers[0]) == len(LAYER)

    @pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 10), (7, 9), (100, None), (100, len(LAYER))])
    async def test_any_part_of_a_blob_can_be_downloaded(
        self, upstream: Upstream, image: Image, start: int, stop: int | None
    ) -> None:
        async with upstream.open_blob(REPOSITORY, image.layers[0], start, stop) as blob:
            received = b"".join([chunk async for chunk in blob.chunks()])
        end = len(LAYER) if stop is None else stop
        assert (blob.start, blob.stop, blob.size) == (start, end, len(LAYER))
        assert received == LAYER[start:end]

    async def test_who_is_doubted_is_asked_for_the_whole(self, upstream: Upstream, image: Image) -> None:
        async with upstream.open_blob(REPOSITORY, image.layers[0], 100) as blob:
            doubted = {blob.origin}
        async with upstream.open_blob(REPOSITORY, image.layers[0], 100, 200, whole_of=doubted) as blob:
            received = b"".join([chunk async for chunk in blob.chunks()])
        assert (blob.start, received) == (0, LAYER)

    async def test_what_is_here_and_what_is_diverted_are_the_whole(
        self, upstream: Upstream, content: RegistryContent
    ) -> None:
        layer = LAYER * 24
        image = content.add_image(REPOSITORY, "large", layers=[layer])
        async with upstream.open_blob(REPOSITORY, image.layers[0], 100) as blob:
            inflow = blob.divert()
            received = b"".join([chunk async for chunk in blob.chunks()])
            while inflow is not None and await inflow.ready():
                received += await asyncio.to_thread(_taken, inflow)
        assert received == layer[100:]

    async def test_a_download_may_be_left_at_any_time(self, upstream: Upstream, image: Image) -> None:
        for _ in range(2):
            async with upstream.open_blob(REPOSITORY, image.layers[0]) as blob:
                async for chunk in blob.chunks():
                    assert LAYER.startswith(chunk)
                    break

    async def test_tags_are_listed(self, upstream: Upstream, content: RegistryContent, image: Image) -> None:
        content.tag(REPOSITORY, "2", image.digest)
        assert await upstream.tags(REPOSITORY) == ["1", "2"]

    async def test_repositories_are_listed(
        self, upstream: Upstream, content: RegistryContent, image: Image
    ) -> None:
        content.add_manifest("library/other", image.content, tag="1")
        assert await upstream.repositories() == [REPOSITORY, "library/other"]

    async def test_no_referrers_are_an_empty_index(self, upstream: Upstream, image: Image) -> None:
        assert json.loads(await upstream.referrers(REPOSITORY, image.digest))["manifests"] == []

    async def test_an_upstream_that_answers_is_up(self, upstream: Upstream, image: Image) -> None:
        await upstream.get_manifest(REPOSITORY, image.digest)
        assert upstream.breaker.health() is Health.UP
