from __future__ import annotations

import gzip
import hashlib
from base64 import b64encode
from collections.abc import Callable

import pytest

from entrepot.errors import (
    ManifestNotHere,
    RateLimited,
    Refused,
    RepositoryNotHere,
    UpstreamDown,
    UpstreamTimeout,
    WrongContent,
)
from entrepot.oci.digest import Digest
from entrepot.oci.media_type import ACCEPT, DOCKER_SCHEMA1_SIGNED
from entrepot.oci.reference import Tag
from entrepot.ports.upstream import FetchedManifest
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_content import INDEX_TYPE, MANIFEST_TYPE
from entrepot.testing.registry_wire import Fault
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.upstream.registry import RegistryUpstream

TAG = Tag("1")
ABSENT = Digest.of(b"absent")


async def test_a_tag_yields_the_index_with_all_its_bytes(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    image = registry.content.add_image("app")
    index = registry.content.add_index("app", "1", {"linux/amd64": image})
    fetched = await upstream.get_manifest("app", TAG)
    assert (fetched.digest, fetched.media_type) == (index, INDEX_TYPE)
    assert index.names(fetched.content)
    assert registry.requests[0].headers["accept"] == ACCEPT


async def test_every_manifest_type_is_accepted(registry: FakeRegistry, upstream: RegistryUpstream) -> None:
    registry.behaviour.demands_accept = True
    image = registry.content.add_image("app", "1")
    assert (await upstream.get_manifest("app", TAG)).digest == image.digest


async def test_a_digest_yields_the_bytes_it_names(registry: FakeRegistry, upstream: RegistryUpstream) -> None:
    image = registry.content.add_image("app")
    assert (await upstream.get_manifest("app", image.digest)).content == image.content


async def test_without_a_digest_header_the_bytes_of_a_tag_name_themselves(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    registry.behaviour.digest_header = False
    image = registry.content.add_image("app", "1")
    assert (await upstream.get_manifest("app", TAG)).digest == image.digest


async def test_a_digest_header_of_another_algorithm_is_kept(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    image = registry.content.add_image("app", "1")
    told = f"sha512:{hashlib.sha512(image.content).hexdigest()}"
    registry.misbehave("manifest", Fault(headers={"Docker-Content-Digest": told}))
    assert str((await upstream.get_manifest("app", TAG)).digest) == told


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize("is_by_tag", [True, False])
async def test_a_signed_manifest_of_schema_1_has_the_digest_of_what_is_signed(
    registry: FakeRegistry, upstream: RegistryUpstream, *, is_by_tag: bool, is_told: bool
) -> None:
    registry.behaviour.digest_header = is_told
    form = b64encode(b'{"formatLength":20,"formatTail":"Cn0"}')
    digest = Digest.of(b'{"schemaVersion":  1\n}')
    content = b'{"schemaVersion":  1,"signatures":[{"protected":"%b"}]\n}' % form
    headers = {"Content-Type": DOCKER_SCHEMA1_SIGNED}
    headers |= {"Docker-Content-Digest": str(digest)} if is_told else {}
    registry.content.add_image("app", "1")
    registry.misbehave("manifest", Fault(status=200, body=content, headers=headers))
    fetched = await upstream.get_manifest("app", TAG if is_by_tag else digest)
    assert fetched == FetchedManifest(digest, DOCKER_SCHEMA1_SIGNED, content)


GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize("is_zipped", [True, False], ids=["zipped", "only said to be"])
async def test_gzip_that_nobody_asked_for_is_undone(
    registry: FakeRegistry, upstream: RegistryUpstream, *, is_zipped: bool
) -> None:
    image = registry.content.add_image("app", "1")
    content = (await upstream.get_manifest("app", TAG)).content
    registry.misbehave("manifest", Fault(body=gzip.compress(content) if is_zipped else content, headers=GZIP))
    for reference in (TAG, image.digest):
        assert (await upstream.get_manifest("app", reference)).content == content


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (gzip.compress(b"{}", mtime=0)[:-1], "in the midst"),
        (gzip.compress(bytes(9 << 20), mtime=0), "larger than 8 MiB"),
    ],
)
async def test_gzip_that_cannot_be_undone_is_a_failure(
    registry: FakeRegistry, upstream: RegistryUpstream, body: bytes, words: str
) -> None:
    registry.content.add_image("app", "1")
    registry.misbehave("manifest", Fault(body=body, headers=GZIP))
    with pytest.raises(UpstreamDown, match=words):
        await upstream.get_manifest("app", TAG)


async def test_another_encoding_is_a_failure(registry: FakeRegistry, upstream: RegistryUpstream) -> None:
    registry.content.add_image("app", "1")
    registry.misbehave("manifest", Fault(headers={"Content-Encoding": "br"}))
    with pytest.raises(UpstreamDown, match="encoded as 'br'"):
        await upstream.get_manifest("app", TAG)


async def test_a_missing_media_type_is_read_from_the_manifest(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    registry.content.add_image("app", "1")
    registry.misbehave("manifest", Fault(without_headers=("Content-Type",)))
    assert (await upstream.get_manifest("app", TAG)).media_type == MANIFEST_TYPE


@pytest.mark.parametrize("ask", [lambda image: TAG, lambda image: image.digest], ids=["tag", "digest"])
async def test_wrong_bytes_are_asked_for_once_more_and_never_believed(
    registry: FakeRegistry, upstream: RegistryUpstream, ask: Callable[..., Tag | Digest]
) -> None:
    image = registry.content.add_image("app", "1")
    registry.misbehave("manifest", Fault(corrupt=True))
    with pytest.raises(WrongContent):
        await upstream.get_manifest("app", ask(image))
    assert registry.count("manifest") == 2


async def test_bytes_wrong_only_once_do_no_harm(registry: FakeRegistry, upstream: RegistryUpstream) -> None:
    image = registry.content.add_image("app", "1")
    registry.misbehave("manifest", Fault(corrupt=True), times=1)
    assert (await upstream.get_manifest("app", TAG)).content == image.content


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (Fault(status=401), Refused),
        (Fault(status=403), Refused),
        (Fault(status=404), ManifestNotHere),
        (Fault(status=405), Refused),
        (Fault(status=418), UpstreamDown),
        (Fault(status=429), RateLimited),
        (Fault(status=500), UpstreamDown),
        (Fault(status=502), UpstreamDown),
        (Fault(status=999), UpstreamDown),
        (Fault(cut_after=0.5), UpstreamDown),
        (Fault(content_length=10_000, cut_after=1.0), UpstreamDown),
        (Fault(content_length=20), UpstreamDown),
        (Fault(body=b""), UpstreamDown),
        (Fault(body=b"<html>", headers={"Content-Type": "text/html; charset=utf-8"}, without_headers=("Docker-Content-Digest",)), UpstreamDown),
        (Fault(raw=b""), UpstreamDown),
        (Fault(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), UpstreamDown),
        (Fault(raw=b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), UpstreamDown),
        (Fault(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"), UpstreamDown),
        (Fault(raw=b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://[\r\n\r\n"), UpstreamDown),
        (Fault(raw=b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: file:///etc/passwd\r\n\r\n"), UpstreamDown),
        (Fault(raw=b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://a:99999/\r\n\r\n"), UpstreamDown),
        (Fault(raw=b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), UpstreamDown),
    ],
)  # fmt: skip
async def test_every_answer_but_the_right_one_is_a_failure_with_a_name(
    registry: FakeRegistry, upstream: RegistryUpstream, fault: Fault, failure: type[Exception]
) -> None:
    registry.content.add_image("app", "1")
    registry.misbehave("manifest", fault)
    with pytest.raises(failure):
        await upstream.get_manifest("app", TAG)


@pytest.mark.parametrize("fault", [Fault(hang_before_head=True), Fault(hang_after=0.5), Fault(hang_after=0)])
async def test_silence_is_a_timeout(
    registry: FakeRegistry, connect: Callable[..., RegistryUpstream], fault: Fault
) -> None:
    registry.content.add_image("app", "1")
    registry.misbehave("manifest", fault)
    with pytest.raises(UpstreamTimeout):
        await connect(registry.url, patience=0.05).get_manifest("app", TAG)


@pytest.mark.parametrize("fault", [Fault(chunked=True), Fault(no_length=True)])
async def test_a_body_without_a_length_is_read_to_its_end(
    registry: FakeRegistry, upstream: RegistryUpstream, fault: Fault
) -> None:
    image = registry.content.add_image("app", "1")
    registry.misbehave("manifest", fault)
    assert (await upstream.get_manifest("app", TAG)).content == image.content


async def test_what_may_be_a_part_of_a_manifest_is_not_taken_for_the_whole(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    registry.misbehave(
        "manifest", Fault(raw=b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"schemaVersion": 2, "con')
    )
    with pytest.raises(UpstreamDown, match="cut short"):
        await upstream.get_manifest("app", Tag("1"))


async def test_a_manifest_without_digest_and_length_is_taken_if_it_is_whole(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    registry.misbehave(
        "manifest", Fault(raw=b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"schemaVersion": 2}')
    )
    assert (await upstream.get_manifest("app", Tag("1"))).content == b'{"schemaVersion": 2}'


async def test_a_manifest_beyond_eight_mebibytes_is_refused(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    registry.content.add_manifest("app", bytes((8 << 20) + 1), tag="1")
    with pytest.raises(UpstreamDown, match="larger than 8 MiB"):
        await upstream.get_manifest("app", TAG)


async def test_an_unknown_repository_is_told_from_an_unknown_manifest(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    registry.content.add_image("app", "1")
    with pytest.raises(ManifestNotHere):
        await upstream.get_manifest("app", ABSENT)
    with pytest.raises(RepositoryNotHere):
        await upstream.get_manifest("nothing", TAG)


async def test_a_head_tells_the_digest_without_the_bytes(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    image = registry.content.add_image("app", "1")
    head = await upstream.head_manifest("app", TAG)
    assert (head.digest, head.media_type, head.size) == (image.digest, MANIFEST_TYPE, len(image.content))
    assert registry.bytes_sent() == 0


@pytest.mark.parametrize("status", [401, 403, 404, 405])
async def test_a_head_that_fails_where_get_does_not_is_given_up_for_an_hour(
    registry: FakeRegistry, upstream: RegistryUpstream, clock: VirtualClock, status: int
) -> None:
    image = registry.content.add_image("app", "1")
    registry.misbehave("manifest", Fault(status=status), method="HEAD")
    assert (await upstream.head_manifest("app", TAG)).digest == image.digest
    registry.reset_counts()
    assert (await upstream.head_manifest("app", TAG)).digest == image.digest
    assert [request.method for request in registry.requests] == ["GET"]
    clock.advance(3600)
    await upstream.head_manifest("app", TAG)
    assert registry.count(method="HEAD") == 1


async def test_a_head_without_a_digest_is_no_answer(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    image = registry.content.add_image("app", "1")
    registry.misbehave("manifest", Fault(without_headers=("Docker-Content-Digest",)))
    assert (await upstream.head_manifest("app", TAG)).digest == image.digest


async def test_a_manifest_missing_by_head_and_get_alike_does_not_spoil_heads(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    registry.content.add_image("app", "1")
    with pytest.raises(ManifestNotHere):
        await upstream.head_manifest("app", Tag("absent"))
    registry.reset_counts()
    await upstream.head_manifest("app", TAG)
    assert [request.method for request in registry.requests] == ["HEAD"]
