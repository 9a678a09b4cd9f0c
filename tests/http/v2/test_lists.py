from __future__ import annotations

import pytest
from tests.http.v2.conftest import House

from entrepot.errors import UpstreamDown
from entrepot.oci.digest import Digest
from entrepot.policy.freshness import Freshness

SUBJECT = Digest.of(b"subject")


async def test_the_base_speaks_the_protocol(house: House) -> None:
    reply = await house.call("/v2/")
    assert (reply.status, reply.json) == (200, {})
    assert reply.headers["docker-distribution-api-version"] == "registry/2.0"


@pytest.fixture
def tagged(house: House) -> House:
    for tag in ("b", "a", "c"):
        house.upstream.manifests["library/demo", tag] = b"{}"
    return house


async def test_tags_are_sorted_and_named_as_asked(tagged: House) -> None:
    reply = await tagged.call("/v2/demo/tags/list")
    assert reply.json == {"name": "demo", "tags": ["a", "b", "c"]}


async def test_tags_come_in_pages(tagged: House) -> None:
    first = await tagged.call("/v2/demo/tags/list?n=2")
    assert first.json["tags"] == ["a", "b"]
    assert first.headers["link"] == '</v2/demo/tags/list?n=2&last=b>; rel="next"'
    second = await tagged.call("/v2/demo/tags/list?n=2&last=b")
    assert second.json["tags"] == ["c"]
    assert "link" not in second.headers
    assert len(tagged.upstream.asked) == 1


async def test_tags_outlive_the_upstream(tagged: House) -> None:
    await tagged.call("/v2/demo/tags/list")
    tagged.clock.advance(100)
    tagged.upstream.failure = UpstreamDown("500")
    reply = await tagged.call("/v2/demo/tags/list")
    assert (reply.json["tags"], reply.headers["age"]) == (["a", "b", "c"], "100")


async def test_a_list_that_does_not_come_is_served_as_it_was_and_the_upstream_doubted(tagged: House) -> None:
    referrers = f"/v2/demo/referrers/{SUBJECT}"
    for path in ("/v2/demo/tags/list", referrers):
        await tagged.call(path)
    tagged.clock.advance(100)
    tagged.upstream.gate.clear()
    tagged.believe(Freshness(fresh_for=30, revalidate_within=0.02))
    for path in ("/v2/demo/tags/list", referrers):
        reply = await tagged.call(path)
        assert (reply.status, reply.headers["age"]) == (200, "100")
    assert len(tagged.upstream.breaker.doubts) == 2


async def test_where_there_is_no_list_the_cached_tags_are_one_as_old_as_the_oldest(tagged: House) -> None:
    for tag in ("c", "b"):
        await tagged.call(f"/v2/demo/manifests/{tag}")
        tagged.clock.advance(10)
    tagged.upstream.failure = UpstreamDown("500")
    reply = await tagged.call("/v2/demo/tags/list")
    assert (reply.status, reply.json["tags"], reply.headers["age"]) == (200, ["b", "c"], "20")
    assert "warning" in reply.headers


@pytest.mark.parametrize(
    "rules", [Freshness(), Freshness(stale_while_revalidate=60), Freshness(revalidate_within=0)], ids=str
)
async def test_cached_tags_are_no_list_while_the_upstream_answers(tagged: House, rules: Freshness) -> None:
    tagged.believe(rules)
    await tagged.call("/v2/demo/manifests/b")
    reply = await tagged.call("/v2/demo/tags/list")
    assert reply.json["tags"] == ["a", "b", "c"]
    assert "warning" not in reply.headers


async def test_without_list_and_tags_the_failure_is_told(house: House) -> None:
    house.upstream.failure = UpstreamDown("500")
    assert (await house.call("/v2/demo/tags/list")).status == 503


async def test_referrers_are_filtered_and_outlive_the_upstream(house: House) -> None:
    path = f"/v2/demo/referrers/{SUBJECT}?artifactType=sig"
    reply = await house.call(path)
    assert (reply.status, reply.json["manifests"]) == (200, [])
    assert reply.headers["oci-filters-applied"] == "artifactType"
    assert reply.headers["content-type"] == "application/vnd.oci.image.index.v1+json"
    house.clock.advance(100)
    house.upstream.failure = UpstreamDown("500")
    assert (await house.call(path)).status == 200


async def test_the_catalogue_tells_what_is_cached(house: House) -> None:
    house.upstream.manifests["library/demo", "latest"] = b"{}"
    house.other.manifests["team/app", "latest"] = b"[]"
    await house.call("/v2/demo/manifests/latest")
    await house.call("/v2/quay.test/team/app/manifests/latest")
    assert (await house.call("/v2/_catalog")).json == {
        "repositories": ["docker.io/library/demo", "quay.test/team/app"]
    }
    assert (await house.call("/v2/_catalog?ns=quay.test")).json == {"repositories": ["team/app"]}
    first = await house.call("/v2/_catalog?n=1")
    assert first.json == {"repositories": ["docker.io/library/demo"]}
    assert first.headers["link"] == '</v2/_catalog?n=1&last=docker.io%2Flibrary%2Fdemo>; rel="next"'


async def test_supervisors_learn_how_it_is(house: House) -> None:
    assert (await house.call("/healthz")).status == 200
    assert (await house.call("/readyz")).json == {"status": "ready"}
    house.warning = "the data folder is read-only"
    reply = await house.call("/readyz")
    assert (reply.status, reply.json) == (200, {"status": "ready", "warning": house.warning})
    house.obstacle = "draining"
    reply = await house.call("/readyz")
    assert (reply.status, reply.json["reason"]) == (503, "draining")
    assert b"entrepot_requests_total{" in (await house.call("/metrics")).body
