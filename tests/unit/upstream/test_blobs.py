from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.unit.upstream.conftest import SHORT

from entrepot.errors import BlobNotHere, UpstreamDown, UpstreamLoops, UpstreamTimeout, WrongContent
from entrepot.oci.digest import Digest
from entrepot.policy.breaker import Health
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_routes import Behaviour
from entrepot.testing.registry_wire import Fault
from entrepot.upstream.registry import RegistryUpstream

CONTENT = bytes(range(256)) * 2048
SIZE = len(CONTENT)


@pytest.fixture
def digest(registry: FakeRegistry) -> Digest:
    return registry.content.add_blob("app", CONTENT)


async def _download(
    upstream: RegistryUpstream, digest: Digest, start: int = 0, stop: int | None = None
) -> tuple[tuple[int, int | None, int | None], bytes]:
    received = bytearray()
    async with upstream.open_blob("app", digest, start, stop) as blob:
        async for chunk in blob.chunks():
            assert chunk
            received += chunk
        return (blob.start, blob.stop, blob.size), bytes(received)


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, None),
        (0, 1),
        (100, None),
        (100, 300),
        (SIZE - 1, None),
        (0, SIZE),
        (100, SIZE),
        (100, SIZE + 1000),
    ],
)
async def test_any_part_can_be_downloaded(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest, start: int, stop: int | None
) -> None:
    part = CONTENT[start:stop]
    assert await _download(upstream, digest, start, stop) == ((start, start + len(part), SIZE), part)
    assert registry.bytes_sent() == len(part)


async def test_an_empty_blob_is_downloaded_with_one_request(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    digest = registry.content.add_blob("app", b"")
    assert await _download(upstream, digest) == ((0, 0, 0), b"")
    assert registry.count() == 1


async def test_a_whole_blob_is_asked_for_without_a_range(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    await _download(upstream, digest)
    assert "range" not in registry.requests[0].headers
    assert registry.requests[0].headers["accept-encoding"] == "identity"


async def test_a_registry_without_ranges_starts_over(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    registry.behaviour.ranges = False
    assert await _download(upstream, digest, 100, 200) == ((0, SIZE, SIZE), CONTENT)


async def test_a_body_without_a_length_leaves_the_size_open(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    registry.misbehave("blob", Fault(chunked=True))
    assert await _download(upstream, digest) == ((0, None, None), CONTENT)


async def test_an_encoded_body_is_left_as_it_is(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    registry.misbehave("blob", Fault(headers={"Content-Encoding": "gzip"}))
    assert (await _download(upstream, digest))[1] == CONTENT


@pytest.mark.parametrize(
    "fault",
    [
        Fault(cut_after=0.6),
        Fault(cut_after=0.6, chunked=True),
        Fault(content_length=SIZE + 1, cut_after=1.0),
        Fault(content_length=SIZE + 1, no_length=False, cut_after=SIZE),
    ],
)
async def test_a_body_that_ends_early_is_a_broken_transfer(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest, fault: Fault
) -> None:
    registry.misbehave("blob", fault)
    with pytest.raises(UpstreamDown):
        await _download(upstream, digest)


async def test_a_body_shorter_than_its_content_range_is_a_broken_transfer(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    registry.misbehave(
        "blob", Fault(body=CONTENT[100:150], headers={"Content-Range": f"bytes 100-199/{SIZE}"})
    )
    with pytest.raises(UpstreamDown, match="50 bytes too early"):
        await _download(upstream, digest, 100, 200)


async def test_a_body_longer_than_its_content_range_is_wrong(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    registry.misbehave("blob", Fault(body=CONTENT, headers={"Content-Range": f"bytes 100-199/{SIZE}"}))
    with pytest.raises(WrongContent):
        await _download(upstream, digest, 100, 200)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(headers={"Content-Range": f"bytes 50-149/{SIZE}"}),
        Fault(headers={"Content-Range": f"bytes 0-99/{SIZE}"}),  # As of a cache that keeps one part for all.
        Fault(headers={"Content-Range": "bytes */524288"}),
        Fault(headers={"Content-Range": "nonsense"}),
        Fault(headers={"Content-Range": ""}),
        Fault(status=416),
    ],
)
async def test_where_a_part_is_answered_with_nonsense_the_whole_is_asked_for(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest, fault: Fault
) -> None:
    registry.misbehave("blob", fault, times=1)
    assert await _download(upstream, digest, 100, 200) == ((0, SIZE, SIZE), CONTENT)
    assert [request.headers.get("range") for request in registry.requests] == ["bytes=100-199", None]


async def test_a_whole_that_is_answered_with_a_nameless_part_is_a_failure(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    registry.misbehave("blob", Fault(status=206))
    with pytest.raises(UpstreamDown, match="without saying which"):
        await _download(upstream, digest, 100, 200)


@pytest.mark.parametrize("fault", [Fault(hang_before_head=True), Fault(hang_after=0.5), Fault(hang_after=0)])
async def test_silence_is_a_timeout_that_the_breaker_learns_of(
    registry: FakeRegistry, connect: Callable[..., RegistryUpstream], digest: Digest, fault: Fault
) -> None:
    upstream = connect(registry.url, patience=0.05)
    registry.misbehave("blob", fault)
    with pytest.raises(UpstreamTimeout):
        await _download(upstream, digest)
    assert upstream.breaker.health() is Health.DOWN


@pytest.mark.parametrize("is_diverted", [False, True])
async def test_a_blob_that_hangs_while_others_are_answered_says_little_of_the_registry(
    registry: FakeRegistry, connect: Callable[..., RegistryUpstream], digest: Digest, *, is_diverted: bool
) -> None:
    upstream = connect(registry.url, patience=SHORT)
    other = registry.content.add_blob("app", b"other")
    registry.misbehave("blob", Fault(hang_after=0.5), containing=digest.hex)
    half = asyncio.Event()
    hanging = asyncio.create_task(_read_until_it_hangs(upstream, digest, half, is_diverted=is_diverted))
    await half.wait()
    assert await upstream.head_blob("app", other) == len(b"other")
    with pytest.raises(UpstreamTimeout, match="fell silent"):
        await hanging
    assert upstream.breaker.health() is Health.UP


async def _read_until_it_hangs(
    upstream: RegistryUpstream, digest: Digest, half: asyncio.Event, *, is_diverted: bool
) -> None:
    """Set ``half`` when half of a blob is here."""
    position, buffer = 0, memoryview(bytearray(SIZE))
    async with upstream.open_blob("app", digest) as blob:
        inflow = blob.divert() if is_diverted else None
        async for chunk in blob.chunks():
            position += len(chunk)
            if position == SIZE // 2:
                half.set()
        while inflow is not None and await inflow.ready():
            position += inflow.read_into(buffer)
            if position == SIZE // 2:
                half.set()


async def test_a_blob_that_hangs_is_asked_of_another_mirror(
    connect: Callable[..., RegistryUpstream], registry: FakeRegistry, digest: Digest
) -> None:
    async with FakeRegistry(registry.content) as mirror:
        upstream = connect(registry.url, mirror.url, patience=SHORT)
        other = registry.content.add_blob("app", b"other")
        registry.misbehave("blob", Fault(hang_after=0.5), containing=digest.hex)
        half = asyncio.Event()
        hanging = asyncio.create_task(_read_until_it_hangs(upstream, digest, half, is_diverted=False))
        await half.wait()
        await upstream.head_blob("app", other)
        with pytest.raises(UpstreamTimeout):
            await hanging
        assert await _download(upstream, digest) == ((0, SIZE, SIZE), CONTENT)
        assert [request.kind for request in mirror.requests] == ["blob"]


async def test_a_body_that_comes_in_drops_is_given_up(
    registry: FakeRegistry, connect: Callable[..., RegistryUpstream], digest: Digest
) -> None:
    upstream = connect(registry.url, patience=SHORT)
    registry.misbehave("blob", Fault(bytes_per_second=100))
    with pytest.raises(UpstreamTimeout, match="sent only"):
        await _download(upstream, digest)
    assert upstream.breaker.health() is Health.DOWN


async def test_leaving_early_ends_the_transfer(registry: FakeRegistry, upstream: RegistryUpstream) -> None:
    digest = registry.content.add_blob("app", bytes(64 << 20))
    async with upstream.open_blob("app", digest) as blob:
        async for _ in blob.chunks():
            break
    await registry.until(lambda: registry.running_answers == 0)
    assert registry.bytes_sent() < 32 << 20


async def test_an_absent_blob_is_not_here(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    absent = Digest.of(b"absent")
    with pytest.raises(BlobNotHere):
        await _download(upstream, absent)
    with pytest.raises(BlobNotHere):
        await upstream.head_blob("app", absent)


async def test_a_head_tells_the_size(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    assert await upstream.head_blob("app", digest) == SIZE
    assert [request.method for request in registry.requests] == ["HEAD"]


@pytest.mark.parametrize("ranges", [True, False])
async def test_where_head_fails_the_first_byte_tells_the_size(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest, *, ranges: bool
) -> None:
    registry.behaviour.ranges = ranges
    registry.misbehave("blob", Fault(status=404), method="HEAD")
    assert await upstream.head_blob("app", digest) == SIZE


async def test_blobs_come_through_a_redirect_to_another_host(
    upstream: RegistryUpstream, registry: FakeRegistry, digest: Digest
) -> None:
    async with FakeRegistry(registry.content) as cdn:
        registry.behaviour.blob_redirect = cdn.url
        assert (await _download(upstream, digest, 100, 200))[1] == CONTENT[100:200]
        assert cdn.requests[0].headers["range"] == "bytes=100-199"


async def test_a_redirect_that_fails_is_not_taken_for_a_missing_blob(
    upstream: RegistryUpstream, registry: FakeRegistry, digest: Digest
) -> None:
    async with FakeRegistry(registry.content) as cdn:
        registry.behaviour.blob_redirect = cdn.url
        cdn.misbehave("blob", Fault(status=404))
        with pytest.raises(UpstreamDown, match="the redirect to"):
            await _download(upstream, digest)


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("http://me:hunter2@127.0.0.1:1/blob?signature=hunter2", r"^127\.0\.0\.1:1 accepts no connections"),
        ("http://me:hunter2@{elsewhere}/nothing", r"the redirect to localhost:\d+ was answered"),
        ("ftp://cdn.test/blob?signature=hunter2", "redirects to nowhere: 'ftp://cdn.test/blob'"),
    ],
)
async def test_a_redirect_that_fails_is_told_without_what_is_secret_in_it(
    upstream: RegistryUpstream, registry: FakeRegistry, digest: Digest, location: str, told: str
) -> None:
    moved = location.format(elsewhere=f"localhost:{registry.port}")
    registry.misbehave("blob", Fault(status=307, headers={"Location": moved}))
    with pytest.raises(UpstreamDown, match=told) as failed:
        await _download(upstream, digest)
    assert "hunter2" not in str(failed.value)


async def test_a_signature_for_get_alone_is_worked_round(
    upstream: RegistryUpstream, registry: FakeRegistry, digest: Digest
) -> None:
    async with FakeRegistry(registry.content) as cdn:
        registry.behaviour.blob_redirect = cdn.url
        cdn.misbehave("blob", Fault(status=403), method="HEAD")
        assert await upstream.head_blob("app", digest) == SIZE


async def test_redirects_in_a_circle_end_at_once_and_say_nothing_of_the_registry(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    registry.misbehave("blob", Fault(status=307, headers={"Location": f"/v2/app/blobs/{digest}"}))
    for asked in range(1, 5):
        with pytest.raises(UpstreamLoops, match="in a circle"):
            await _download(upstream, digest)
        assert registry.count("blob") == asked
    assert upstream.breaker.health() is Health.UP


async def test_redirects_without_end_are_followed_once(
    registry: FakeRegistry, upstream: RegistryUpstream, digest: Digest
) -> None:
    for step in range(10):
        location = f"/v2/app/blobs/{digest}?step={step}"
        registry.misbehave("blob", Fault(status=307, headers={"Location": location}), times=1)
    with pytest.raises(UpstreamLoops, match="more than 5 redirects"):
        await _download(upstream, digest)
    assert registry.count("blob") == 6


async def test_a_path_in_the_endpoint_goes_behind_v2(
    registry: FakeRegistry, connect: Callable[..., RegistryUpstream], digest: Digest
) -> None:
    registry.behaviour = Behaviour(path="proxy/hub")
    for url in (f"{registry.url}/proxy/hub", f"{registry.url}/v2/proxy/hub/"):
        assert (await _download(connect(url), digest))[1] == CONTENT
    assert registry.requests[0].path == f"/v2/proxy/hub/app/blobs/{digest}"
