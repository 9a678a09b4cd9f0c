from __future__ import annotations

from tests.http.api.conftest import Office, problem

from entrepot.testing.registry_wire import Fault


async def test_upstreams_tell_how_they_are(office: Office) -> None:
    docker, quay = await office.get("/upstreams")
    assert docker == {
        "name": "docker.io",
        "state": "up",
        "endpoints": [
            {
                "url": office.registry.url,
                "state": "up",
                "retry_after_seconds": 0.0,
                "rate_limited": False,
                "last_failure": None,
            }
        ],
        "credential": "none",
        "credential_refusal": None,
        "rate_limit": None,
        "clock_ahead_seconds": None,
        "running_fills": 0,
    }
    assert (quay["name"], quay["credential"]) == ("quay.test", "untried")
    assert await office.get("/upstreams/docker.io") == docker


async def test_upstreams_are_found_sorted_and_cut_into_pages(office: Office) -> None:
    async def names(query: str) -> list[str]:
        return [row["name"] for row in await office.get(f"/upstreams?{query}")]

    assert await names("sort=-name") == ["quay.test", "docker.io"]
    assert await names("search=quay") == await names("page=2&page_size=1") == ["quay.test"]
    assert await names("state=down") == []
    reply = await office.call("/upstreams?page_size=1")
    assert reply.headers["x-total-count"] == "2"
    assert 'rel="next"' in reply.headers["link"]


async def test_the_budget_of_a_rate_limit_is_told_with_its_end(office: Office) -> None:
    office.registry.content.add_image("library/app", "1")
    office.registry.behaviour.headers = {
        "RateLimit-Limit": "100;w=21600",
        "RateLimit-Remaining": "76;w=21600",
        "RateLimit-Reset": "1609844400",
    }
    await office.pull("library/app/manifests/1")
    limit = (await office.get("/upstreams/docker.io"))["rate_limit"]
    assert (limit["limit"], limit["remaining"]) == (100, 76)
    assert limit["resets_by"] == "2021-01-05T11:00:00Z"


async def test_a_clock_that_differs_from_the_upstream_s_is_told(office: Office) -> None:
    office.registry.behaviour.headers = {"Date": "Tue, 05 Jan 2021 11:00:00 GMT"}
    await office.post("/upstreams/docker.io/test")
    assert (await office.get("/upstreams/docker.io"))["clock_ahead_seconds"] > 86400


async def test_an_upstream_is_tried_on_request(office: Office) -> None:
    (trial,) = await office.post("/upstreams/docker.io/test")
    assert (trial["endpoint"], trial["outcome"]) == (office.registry.url, "ok")
    office.registry.misbehave("ping", Fault(status=500))
    (trial,) = await office.post("/upstreams/docker.io/test")
    assert (trial["outcome"], "500" in trial["reason"]) == ("error", True)


async def test_an_unknown_upstream_is_a_404(office: Office) -> None:
    for path, method in (("/upstreams/gone.test", "GET"), ("/upstreams/gone.test/test", "POST")):
        reply = await office.call(path, method)
        assert reply.status == 404
        assert problem(reply)["type"] == "urn:entrepot:problem:not-here"
        assert "gone.test is not an upstream" in problem(reply)["detail"]
