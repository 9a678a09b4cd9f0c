from __future__ import annotations

import pytest
from tests.http.v2.conftest import House

from entrepot.errors import (
    RateLimited,
    Refused,
    UpstreamDown,
    UpstreamLoops,
    UpstreamTimeout,
    WrongContent,
)
from entrepot.oci.digest import Digest

CONTENT = b'{ "schemaVersion":2 , "odd":"spacing" }\n'
DIGEST = Digest.of(CONTENT)


@pytest.fixture
def published(house: House) -> House:
    house.upstream.manifests["library/demo", "latest"] = CONTENT
    return house


async def test_a_manifest_comes_verbatim_with_its_headers(published: House) -> None:
    reply = await published.call("/v2/library/demo/manifests/latest")
    assert (reply.status, reply.body) == (200, CONTENT)
    assert reply.headers == {
        "content-type": "application/vnd.oci.image.manifest.v1+json",
        "content-length": str(len(CONTENT)),
        "docker-content-digest": str(DIGEST),
        "etag": f'"{DIGEST}"',
        "docker-distribution-api-version": "registry/2.0",
    }


async def test_a_head_tells_the_same_and_costs_one_get(published: House) -> None:
    head = await published.call("/v2/library/demo/manifests/latest", "HEAD")
    get = await published.call("/v2/library/demo/manifests/latest")
    assert (head.status, head.headers) == (200, get.headers)
    assert published.upstream.asked == ["GET library/demo latest"]


@pytest.mark.parametrize(
    "path",
    [
        "/v2/demo/manifests/latest",
        "/v2/library/demo/manifests/latest?ns=docker.io",
        "/v2/demo/manifests/latest?ns=registry-1.docker.io",
        "/v2/docker.io/library/demo/manifests/latest",
        "/v2/index.docker.io/demo/manifests/latest",
        "/docker.io/v2/library/demo/manifests/latest",
        f"/v2/library/demo/manifests/{DIGEST}",
        f"/v2/library/demo/manifests/{str(DIGEST).replace(':', '%3A')}",
    ],
)
async def test_every_way_of_addressing_leads_there(published: House, path: str) -> None:
    assert (await published.call(path)).body == CONTENT


async def test_a_host_header_may_name_the_upstream(published: House) -> None:
    published.other.manifests["demo", "latest"] = b"{}"
    assert (await published.call("/v2/demo/manifests/latest", host="quay.cache.test:5000")).body == b"{}"
    assert published.upstream.asked == []


async def test_the_namespace_is_confirmed(published: House) -> None:
    reply = await published.call("/v2/library/demo/manifests/latest?ns=docker.io")
    assert reply.headers["oci-namespace"] == "docker.io"


@pytest.mark.parametrize("given", [f'"{DIGEST}"', f'W/"{DIGEST}"', f'"x", "{DIGEST}"', "*"])
async def test_what_the_client_holds_is_not_sent_again(published: House, given: str) -> None:
    reply = await published.call("/v2/library/demo/manifests/latest", if_none_match=given)
    assert (reply.status, reply.body) == (304, b"")
    assert reply.headers["docker-content-digest"] == str(DIGEST)


async def test_a_stale_answer_says_so(published: House) -> None:
    await published.call("/v2/library/demo/manifests/latest")
    published.clock.advance(45)
    published.upstream.failure = UpstreamDown("500")
    reply = await published.call("/v2/library/demo/manifests/latest")
    assert (reply.status, reply.body, reply.headers["age"]) == (200, CONTENT, "45")
    assert reply.headers["warning"].startswith("299 ")


@pytest.mark.parametrize(
    ("failure", "status", "code", "retry_after"),
    [
        (RateLimited("slow down", 12.3), 429, "TOOMANYREQUESTS", "13"),
        (RateLimited("slow down"), 429, "TOOMANYREQUESTS", None),
        (Refused("no"), 403, "DENIED", None),
        (UpstreamDown("500", 3), 503, "UNAVAILABLE", "3"),
        (UpstreamTimeout("hung"), 504, "UNAVAILABLE", None),
        (WrongContent("wrong"), 502, "UNAVAILABLE", None),
        (UpstreamLoops("round and round"), 502, "UNAVAILABLE", None),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_failure_is_told_as_it_is(
    house: House, failure: UpstreamDown, status: int, code: str, retry_after: str | None
) -> None:
    house.upstream.failure = failure
    reply = await house.call("/v2/library/demo/manifests/latest")
    assert (reply.status, reply.code, reply.headers.get("retry-after")) == (status, code, retry_after)


async def test_a_missing_manifest_is_unknown(house: House) -> None:
    reply = await house.call("/v2/library/demo/manifests/latest")
    assert (reply.status, reply.code) == (404, "MANIFEST_UNKNOWN")


async def test_what_the_upstream_refused_a_moment_ago_is_counted_as_not_asked(house: House) -> None:
    for _ in range(3):
        assert (await house.call("/v2/library/none/manifests/1")).status == 404
    house.clock.advance(3600)
    assert (await house.call("/v2/library/none/manifests/1")).status == 404
    lines = (await house.call("/metrics")).body.decode().splitlines()
    counted = {
        outcome: line.split()[-1]
        for line in lines
        for outcome in ("negative", "error")
        if line.startswith("entrepot_requests_total{") and f'outcome="{outcome}"' in line
    }
    assert counted == {"negative": "2.0", "error": "2.0"}
