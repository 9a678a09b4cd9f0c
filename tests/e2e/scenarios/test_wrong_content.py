"""Wrong bytes are never a clean answer and never stay in the cache."""

from __future__ import annotations

import pytest

from entrepot.oci.digest import Digest
from entrepot.testing.exchange import Reply, ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.programs import CacheProgram
from entrepot.testing.registry_wire import Fault
from entrepot.testing.waiting import wait_until

LAYER = pattern("right", 2 << 20)
DIGEST = Digest.of(LAYER)
BLOB = f"/v2/library/app/blobs/{DIGEST}"


def _try(cache: CacheProgram, path: str) -> Reply | None:
    try:
        return ask(cache.url, path)
    except ConnectionError:
        return None


def _is_clean(reply: Reply | None) -> bool:
    return reply is not None and reply.status == 200 and reply.whole


def _comes_right(cache: CacheProgram, path: str, digest: Digest) -> None:
    """The upstream is well again: within the pause of a breaker, so are the answers."""
    replies: list[Reply | None] = []

    def is_served() -> bool:
        replies.append(_try(cache, path))
        return _is_clean(replies[-1])

    wait_until(is_served, f"a clean answer to {path}")
    assert replies[-1] is not None
    assert replies[-1].digest == digest


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(corrupt=True), id="a wrong byte"),
        pytest.param(Fault(body=LAYER[:-1]), id="too short"),
        pytest.param(Fault(body=LAYER + b"!"), id="too long"),
        pytest.param(Fault(body=b"<html>Please log in to this network</html>"), id="something else"),
        pytest.param(Fault(content_length=len(LAYER) + 10, cut_after=1.0), id="a length never reached"),
        pytest.param(Fault(corrupt=True, chunked=True), id="a wrong byte, chunked"),
        pytest.param(Fault(corrupt=True, no_length=True), id="a wrong byte, no length"),
    ],
)
@pytest.mark.parametrize("manifest_first", [True, False], ids=["size known", "size unknown"])
def test_a_wrong_blob_ends_as_a_broken_transfer_and_is_right_once_the_upstream_is(
    cache: CacheProgram, upstream: FakeRegistry, fault: Fault, *, manifest_first: bool
) -> None:
    upstream.content.add_image("library/app", "1", layers=[LAYER])
    if manifest_first:
        assert ask(cache.url, "/v2/library/app/manifests/1").status == 200
    upstream.misbehave("blob", fault, method="GET")
    reply = _try(cache, BLOB)
    assert reply is None or not _is_clean(reply) or reply.digest == DIGEST
    upstream.behave()
    _comes_right(cache, BLOB, DIGEST)


def test_a_wrong_manifest_is_an_error_and_is_right_once_the_upstream_is(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    image = upstream.content.add_image("library/app", "1", layers=[LAYER])
    upstream.misbehave("manifest", Fault(corrupt=True))
    for reference in ("1", str(image.digest)):
        reply = ask(cache.url, f"/v2/library/app/manifests/{reference}")
        assert 500 <= reply.status < 600, reference
    upstream.behave()
    for reference in ("1", str(image.digest)):
        _comes_right(cache, f"/v2/library/app/manifests/{reference}", image.digest)


@pytest.mark.parametrize(
    "fault", [Fault(chunked=True), Fault(no_length=True)], ids=["chunked", "until the connection closes"]
)
def test_a_blob_of_no_announced_length_is_served_and_kept(
    cache: CacheProgram, upstream: FakeRegistry, fault: Fault
) -> None:
    upstream.content.add_image("library/app", "1", layers=[LAYER])
    upstream.misbehave("any", fault)
    for _ in range(2):
        reply = ask(cache.url, BLOB)
        assert (reply.status, reply.whole, reply.digest) == (200, True, DIGEST)
    assert upstream.count("blob", "GET") == 1


def test_bytes_come_back_verbatim_whatever_their_type(cache: CacheProgram, upstream: FakeRegistry) -> None:
    content, media_type = b'{ "odd":\n\t"spacing" }\n', "application/vnd.example.thing.v7+json"
    digest = upstream.content.add_manifest("library/app", content, tag="odd", media_type=media_type)
    for reference in ("odd", str(digest)):
        reply = ask(cache.url, f"/v2/library/app/manifests/{reference}")
        assert (reply.body, reply.headers["content-type"]) == (content, media_type)
        assert reply.headers["docker-content-digest"] == str(digest)
