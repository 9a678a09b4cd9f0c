from __future__ import annotations

import asyncio
import random
import re

import pytest
from tests.http.v2.conftest import House, Reply

from entrepot.errors import StoreFailed
from entrepot.oci.digest import Digest

CONTENT = random.Random(4).randbytes(300_000)
DIGEST = Digest.of(CONTENT)
PATH = f"/v2/library/demo/blobs/{DIGEST}"


@pytest.fixture
def published(house: House) -> House:
    house.upstream.blobs["library/demo", DIGEST] = CONTENT
    return house


@pytest.fixture
async def warm(published: House) -> House:
    await published.call(PATH)
    await _settled(published)
    return published


async def _settled(house: House) -> None:
    while len(house.fills):
        await house.clock.sleep(0)


async def test_a_cold_blob_comes_whole_with_its_headers(published: House) -> None:
    reply = await published.call(PATH)
    assert (reply.status, reply.body, reply.is_whole) == (200, CONTENT, True)
    assert reply.headers == {
        "content-type": "application/octet-stream",
        "content-length": str(len(CONTENT)),
        "docker-content-digest": str(DIGEST),
        "etag": f'"{DIGEST}"',
        "accept-ranges": "bytes",
        "docker-distribution-api-version": "registry/2.0",
    }


async def test_a_hit_copies_no_byte_in_the_program_and_asks_nobody(warm: House) -> None:
    asked = len(warm.upstream.asked)
    reply = await warm.call(PATH)
    assert (reply.body, reply.copied) == (CONTENT, 0)
    assert len(warm.upstream.asked) == asked


async def test_a_head_moves_no_body(published: House) -> None:
    reply = await published.call(PATH, "HEAD")
    assert (reply.status, reply.headers["content-length"], reply.body) == (200, str(len(CONTENT)), b"")
    assert published.upstream.downloads == []


RANGES = [
    ("bytes=0-0", 0, 1),
    ("bytes=100-199", 100, 200),
    ("bytes=-5", 299_995, 300_000),
    ("bytes=299990-", 299_990, 300_000),
]


@pytest.mark.parametrize(("asked", "start", "stop"), RANGES)
async def test_a_range_is_sent_as_asked(warm: House, asked: str, start: int, stop: int) -> None:
    _check_range(await warm.call(PATH, range=asked), start, stop)


@pytest.mark.parametrize(("asked", "start", "stop"), RANGES)
async def test_a_range_of_a_cold_blob_is_too(published: House, asked: str, start: int, stop: int) -> None:
    _check_range(await published.call(PATH, range=asked), start, stop)


def _check_range(reply: Reply, start: int, stop: int) -> None:
    assert (reply.status, reply.body) == (206, CONTENT[start:stop])
    assert reply.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(CONTENT)}"
    assert reply.headers["content-length"] == str(stop - start)


async def test_several_ranges_come_in_parts(warm: House) -> None:
    reply = await warm.call(PATH, range="bytes=0-9,100-109,-3")
    assert reply.status == 206
    assert reply.headers["content-length"] == str(len(reply.body))
    assert _parts(reply) == [CONTENT[:10], CONTENT[100:110], CONTENT[-3:]]


def _parts(reply: Reply) -> list[bytes]:
    boundary = reply.headers["content-type"].partition("boundary=")[2].encode()
    assert reply.body.endswith(b"--" + boundary + b"--\r\n")
    parts = reply.body.split(b"--" + boundary)[1:-1]
    assert all(re.search(rb"\r\nContent-Range: bytes \d+-\d+/300000\r\n", part) for part in parts)
    return [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts]


async def test_a_range_beyond_the_end_is_not_satisfiable(warm: House) -> None:
    reply = await warm.call(PATH, range="bytes=300000-")
    assert (reply.status, reply.code, reply.headers["content-range"]) == (
        416,
        "RANGE_INVALID",
        "bytes */300000",
    )


@pytest.mark.parametrize("asked", ["bytes=9-1", "lines=1-2", "bytes=a-b", "bytes"])
async def test_a_range_that_makes_no_sense_is_passed_over(warm: House, asked: str) -> None:
    assert (await warm.call(PATH, range=asked)).status == 200


async def test_a_range_of_something_else_is_passed_over(warm: House) -> None:
    assert (await warm.call(PATH, range="bytes=0-1", if_range='"sha256:other"')).status == 200
    assert (await warm.call(PATH, range="bytes=0-1", if_range=f'"{DIGEST}"')).status == 206


async def test_what_the_client_holds_is_not_sent_again(warm: House) -> None:
    assert (await warm.call(PATH, if_none_match=f'"{DIGEST}"')).status == 304


async def test_a_layer_that_two_repositories_share_is_fetched_once(warm: House) -> None:
    warm.upstream.blobs["library/other", DIGEST] = CONTENT
    reply = await warm.call(PATH.replace("demo", "other"))
    assert (reply.status, reply.body) == (200, CONTENT)
    assert len(warm.upstream.downloads) == 1
    assert warm.upstream.asked[-1] == f"HEAD library/other {DIGEST}"


async def test_a_blob_of_one_repository_is_not_served_under_another(warm: House) -> None:
    reply = await warm.call(PATH.replace("demo", "other"))
    assert (reply.status, reply.code) == (404, "BLOB_UNKNOWN")


async def test_sha512_is_as_good(house: House) -> None:
    digest = Digest.of(CONTENT, "sha512")
    house.upstream.blobs["library/demo", digest] = CONTENT
    assert (await house.call(f"/v2/library/demo/blobs/{digest}")).body == CONTENT


async def test_wrong_bytes_that_come_once_are_not_noticed_where_nothing_was_sent(house: House) -> None:
    small = b"a config of few bytes"
    digest = Digest.of(small)
    house.upstream.blobs["library/demo", digest] = small
    house.upstream.honest_after = 1
    reply = await house.call(f"/v2/library/demo/blobs/{digest}")
    assert (reply.status, reply.body) == (200, small)
    assert len(house.upstream.downloads) == 2


async def test_wrong_bytes_end_visibly_broken(published: House) -> None:
    published.upstream.blobs["library/demo", DIGEST] = CONTENT[:-1] + b"\0"
    reply = await published.call(PATH)
    assert not reply.is_whole
    assert len(reply.body) < len(CONTENT)


async def test_a_length_that_was_wrong_once_is_not_believed_for_ever(house: House) -> None:
    house.upstream.blobs["library/demo", DIGEST] = CONTENT[:1000]
    assert (await house.call(PATH)).status == 502
    house.upstream.blobs["library/demo", DIGEST] = CONTENT
    assert (await house.call(PATH)).body == CONTENT


@pytest.mark.parametrize("order", [("demo", "private"), ("private", "demo")])
async def test_joining_a_download_gives_no_leave_to_read(house: House, order: tuple[str, str]) -> None:
    """Two repositories ask at once, and only one of them holds the blob."""
    house.upstream.blobs["library/private", DIGEST] = CONTENT
    async with asyncio.TaskGroup() as group:
        calls = {name: group.create_task(house.call(PATH.replace("demo", name))) for name in order}
    assert calls["private"].result().body == CONTENT
    assert calls["demo"].result().status == 404
    assert (await house.call(PATH)).status == 404


async def test_a_range_of_a_blob_whose_length_only_a_head_tells_says_the_length(published: House) -> None:
    published.upstream.tells_size_of_downloads = False
    reply = await published.call(PATH, range="bytes=100-199")
    assert (reply.status, reply.headers["content-range"]) == (206, "bytes 100-199/300000")
    assert reply.body == CONTENT[100:200]


async def test_a_stored_blob_that_the_disk_does_not_give_is_fetched_again(
    warm: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_digest: Digest) -> None:
        raise StoreFailed("the disk is broken")

    monkeypatch.setattr(warm.store, "open", fail)
    assert (await warm.call(PATH)).body == CONTENT
    assert len(warm.upstream.downloads) == 2


async def test_a_blob_that_was_cut_short_on_the_disk_is_fetched_again(published: House) -> None:
    manifest = b'{"layers":[{"digest":"%s","size":%d}]}' % (str(DIGEST).encode(), len(CONTENT))
    published.upstream.manifests["library/demo", "latest"] = manifest
    await published.call("/v2/library/demo/manifests/latest")
    for _ in range(2):
        assert (await published.call(PATH)).body == CONTENT
        await _settled(published)
        stored = next(published.folder.glob("blobs/*/*/*"))
        assert stored.read_bytes() == CONTENT
        stored.write_bytes(CONTENT[:1000])


async def test_a_manifest_that_lies_about_a_size_drops_no_blob(warm: House) -> None:
    manifest = b'{"layers":[{"digest":"%s","size":7}]}' % str(DIGEST).encode()
    warm.upstream.manifests["library/liar", "latest"] = manifest
    await warm.call("/v2/library/liar/manifests/latest")
    assert (await warm.call(PATH.replace("demo", "liar"))).body == CONTENT
    assert len(warm.upstream.downloads) == 1
