from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from tests.http.api.conftest import Office, problem

from entrepot.testing.registry_wire import Fault


async def test_a_running_fill_tells_how_far_it_is(office: Office) -> None:
    layer = bytes(3_000_000)
    image = office.registry.content.add_image("library/app", "1", layers=[layer])
    await office.pull("library/app/manifests/1")
    hold = asyncio.Event()
    office.registry.misbehave("blob", Fault(hang_after=2_000_000, hold=hold))
    async with asyncio.TaskGroup() as group:
        group.create_task(office.pull(f"library/app/blobs/{image.layers[0]}"))
        (fill,) = await _fills_when(office, 2_000_000)
        assert fill["digest"] == str(image.layers[0])
        assert fill["repositories"] == ["docker.io/library/app"]
        assert (fill["size"], fill["received"]) == (3_000_000, 2_000_000)
        assert (fill["connections"], fill["readers"]) == (1, 1)
        assert fill["bytes_per_second"] > 0
        assert len(await office.get("/fills?search=library/app")) == 1
        assert await office.get("/fills?search=other") == []
        assert len(await office.get("/fills?upstream=docker.io&sort=-received")) == 1
        assert await office.get("/fills?upstream=quay.test") == []
        hold.set()


async def _fills_when(office: Office, received: int) -> Any:
    """Return the fills once the first has received so many bytes."""
    return await office.get_when("/fills", lambda fills: fills and fills[0]["received"] >= received)


async def test_the_cache_tells_how_full_it_is_and_how_well_it_serves(office: Office) -> None:
    assert (await office.ask("/v2/library/absent/manifests/1")).status == 404
    cold = await office.get("/cache")
    assert cold["sent_bytes"] == 0, "what an error says is no content"
    assert (cold["blobs"], cold["blob_requests"]) == (0, {"by_outcome": {}, "hit_ratio": None})
    image = office.registry.content.add_image("library/app", "1", layers=[bytes(10_000)])
    await office.pull("library/app/manifests/1")
    for _ in range(4):
        await office.pull(f"library/app/blobs/{image.layers[0]}")
        await office.settle()
    warm = await office.get("/cache")
    assert warm["blobs"] == 1
    assert warm["version"] == version("entrepot")
    assert cold["held"] + 10_000 <= warm["held"] <= warm["allowed"]
    assert warm["blob_requests"] == {"by_outcome": {"miss": 1, "hit": 3}, "hit_ratio": 0.75}
    assert warm["manifest_requests"]["hit_ratio"] == 0.0
    assert warm["sent_bytes"] >= 40_000
    assert 10_000 <= warm["received_bytes"] < 20_000
    assert warm["evicted"] == {"content": {}, "bytes": {}}


async def test_events_are_those_of_the_log_the_newest_first(office: Office) -> None:
    office.events(
        None, "info", {"event": "older", "level": "info", "time": "2026-01-01T00:00:00Z", "size": 3}
    )
    office.events(None, "error", {"event": "newer", "level": "error", "time": "2026-01-02T00:00:00Z"})
    newer, older = await office.get("/events")
    assert older == {
        "number": 1,
        "time": "2026-01-01T00:00:00Z",
        "level": "info",
        "event": "older",
        "fields": {"size": 3},
    }
    assert (newer["number"], newer["event"]) == (2, "newer")
    assert await office.get("/events?level=warning") == [newer]
    assert await office.get("/events?event=older") == [older]
    assert await office.get("/events?after=1") == [newer]


async def test_the_page_to_read_names_every_path_and_loads_nothing(office: Office) -> None:
    reply = await office.ask("/api/v1/docs")
    assert reply.headers["content-type"].startswith("text/html")
    page, document = reply.body.decode(), await office.get("/docs/openapi.json")
    assert document["openapi"] == "3.1.0"
    for path in document["paths"]:
        assert f"<code>{path}</code>" in page
    assert "src=" not in page
    assert "http" not in page.replace("/api/v1/docs/openapi.json", "")
    assert "$CACHE/api/v1/tags/{tag}/refresh?repository={repository}&quot;" in page


async def test_what_is_not_there_is_a_problem_too(office: Office) -> None:
    for path, method, status in (("/nothing", "GET", 404), ("/purge", "GET", 405), ("/tags", "DELETE", 405)):
        reply = await office.call(path, method)
        assert (reply.status, problem(reply)["type"]) == (status, "about:blank")
