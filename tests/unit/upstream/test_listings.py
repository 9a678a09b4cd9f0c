from __future__ import annotations

import json

import pytest

from entrepot.errors import NotHere, RepositoryNotHere, UpstreamDown, UpstreamLoops
from entrepot.oci.digest import Digest
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_content import INDEX_TYPE, Image
from entrepot.testing.registry_wire import Fault
from entrepot.upstream.registry import RegistryUpstream


@pytest.fixture
def image(registry: FakeRegistry) -> Image:
    return registry.content.add_image("app", "1")


def _digests(index: bytes) -> list[str]:
    return [descriptor["digest"] for descriptor in json.loads(index)["manifests"]]


async def test_every_page_of_tags_is_read(
    registry: FakeRegistry, upstream: RegistryUpstream, image: Image
) -> None:
    registry.behaviour.page_size = 2
    for tag in ("a", "b", "c+d", "e"):
        registry.content.tag("app", tag, image.digest)
    assert await upstream.tags("app") == ["1", "a", "b", "c+d", "e"]
    assert registry.count("tags") == 3


@pytest.mark.parametrize(
    "link",
    [
        "http://elsewhere.test:1/v2/app/tags/list?last=1&n=1",
        "<http://169.254.169.254/latest?last=1&n=1>; rel=next",
        '</wrong/path?last=1&n=1>; rel="next"',
    ],
)
async def test_a_link_never_leads_to_another_host_or_path(
    registry: FakeRegistry, upstream: RegistryUpstream, image: Image, link: str
) -> None:
    registry.misbehave("tags", Fault(headers={"Link": link}), times=1)
    await upstream.tags("app")
    assert {request.path for request in registry.requests} == {"/v2/app/tags/list"}


async def test_pages_in_a_circle_are_no_list(
    registry: FakeRegistry, upstream: RegistryUpstream, image: Image
) -> None:
    registry.misbehave("tags", Fault(headers={"Link": '</v2/app/tags/list?n=1&last=a>; rel="next"'}))
    with pytest.raises(UpstreamLoops, match="no end"):
        await upstream.tags("app")
    assert registry.count("tags") == 2


async def test_pages_without_end_that_bring_nothing_new_are_no_list(
    registry: FakeRegistry, upstream: RegistryUpstream, image: Image
) -> None:
    for page in range(100):
        link = f'</v2/app/tags/list?n=1&last={page}>; rel="next"'
        registry.misbehave("tags", Fault(headers={"Link": link}, body=b'{"tags":["1"]}'), times=1)
    with pytest.raises(UpstreamLoops, match="no end"):
        await upstream.tags("app")
    assert registry.count("tags") == 5


async def test_a_few_empty_pages_do_not_end_a_list(
    registry: FakeRegistry, upstream: RegistryUpstream, image: Image
) -> None:
    for page in range(3):
        link = f'</v2/app/tags/list?n=1&page={page}>; rel="next"'
        registry.misbehave("tags", Fault(headers={"Link": link}, body=b'{"tags":[]}'), times=1)
    assert await upstream.tags("app") == ["1"]


async def test_null_is_an_empty_list_of_tags(
    registry: FakeRegistry, upstream: RegistryUpstream, image: Image
) -> None:
    registry.misbehave("tags", Fault(body=b'{"name":"app","tags":null}'))
    assert await upstream.tags("app") == []


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"tags":[1]}', b"\xff", b"[" * 5000])
async def test_nonsense_is_no_list_of_tags(
    registry: FakeRegistry, upstream: RegistryUpstream, image: Image, body: bytes
) -> None:
    registry.misbehave("tags", Fault(body=body))
    with pytest.raises(UpstreamDown):
        await upstream.tags("app")


async def test_tags_of_an_unknown_repository_are_not_here(upstream: RegistryUpstream) -> None:
    with pytest.raises(RepositoryNotHere):
        await upstream.tags("nothing")


async def test_the_api_lists_referrers_page_by_page(
    registry: FakeRegistry, upstream: RegistryUpstream, image: Image
) -> None:
    registry.behaviour.referrers_api = True
    registry.behaviour.page_size = 1
    names = ("sbom", "signature")
    added = [registry.content.add_image("app", subject=image.digest, artifact_type=name) for name in names]
    assert _digests(await upstream.referrers("app", image.digest)) == [str(item.digest) for item in added]
    assert registry.count("referrers") == 2


@pytest.mark.parametrize(
    "fault", [None, Fault(status=403), Fault(status=405), Fault(body=b"<html>"), Fault(body=b"{}")]
)
async def test_without_the_api_a_tag_tells_the_referrers(
    registry: FakeRegistry, upstream: RegistryUpstream, image: Image, fault: Fault | None
) -> None:
    if fault is not None:
        registry.behaviour.referrers_api = True
        registry.misbehave("referrers", fault)
    signature = registry.content.add_image("app", subject=image.digest)
    tag = str(image.digest).replace(":", "-")
    registry.content.add_index("app", tag, {"a/b": signature})
    assert _digests(await upstream.referrers("app", image.digest)) == [str(signature.digest)]


async def test_neither_api_nor_tag_means_no_referrers(
    registry: FakeRegistry, upstream: RegistryUpstream, image: Image
) -> None:
    found = json.loads(await upstream.referrers("app", image.digest))
    assert (found["mediaType"], found["manifests"]) == (INDEX_TYPE, [])


async def test_a_tag_that_is_no_index_means_no_referrers(
    registry: FakeRegistry, upstream: RegistryUpstream, image: Image
) -> None:
    registry.content.tag("app", str(image.digest).replace(":", "-"), image.digest)
    assert _digests(await upstream.referrers("app", image.digest)) == []


async def test_a_failing_registry_is_not_one_without_referrers(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    registry.misbehave("any", Fault(status=500))
    with pytest.raises(UpstreamDown):
        await upstream.referrers("app", Digest.of(b"x"))


async def test_every_page_of_the_catalogue_is_read(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    registry.behaviour.page_size = 2
    for name in ("a", "b/c", "d", "e"):
        registry.content.add_image(name, "1")
    assert await upstream.repositories() == ["a", "b/c", "d", "e"]
    assert registry.count("catalog") == 2


async def test_a_registry_without_a_catalogue_has_none(
    registry: FakeRegistry, upstream: RegistryUpstream
) -> None:
    registry.behaviour.catalog = False
    with pytest.raises(NotHere):
        await upstream.repositories()
