from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.http.api.conftest import Office, problem

from entrepot.http.api.warms import Order
from entrepot.http.server.limits import Limits
from entrepot.testing.registry_wire import Fault


def test_the_longest_order_is_not_too_large_for_the_server() -> None:
    order = Order(images=["x" * 240] * 10_000, platforms=["p" * 100] * 100)
    assert len(msgspec.json.encode(order)) < Limits().body_bytes


async def _end(office: Office, number: int) -> Any:
    return await office.get_when(f"/warms/{number}", lambda warm: warm["state"] != "running")


async def _order(office: Office, *images: str, platforms: tuple[str, ...] = ()) -> Any:
    reply = await office.call("/warms", "POST", {"images": images, "platforms": platforms})
    assert reply.status == 202, reply.body
    warm = msgspec.json.decode(reply.body)
    assert reply.headers["location"] == f"/api/v1/warms/{warm['id']}"
    return warm


async def test_ordered_images_are_pulled_without_their_upstream(office: Office) -> None:
    image = office.registry.content.add_image("library/app", "1", layers=[b"layer", b"other"])
    ordered = await _order(office, "app:1")
    assert (ordered["state"], ordered["origin"], ordered["ended_at"]) == ("running", "administrator", None)
    warm = await _end(office, ordered["id"])
    assert (warm["state"], warm["images"], warm["warmed"], warm["failed"]) == ("done", 1, 1, 0)
    assert warm["size"] == warm["done"] == len(b"layer") + len(b"other") + len(b"{}")
    await office.registry.stop()
    assert await office.pull("library/app/manifests/1") == image.content
    assert await office.pull(f"library/app/blobs/{image.layers[0]}") == b"layer"


async def test_an_order_that_was_taken_is_written_down_already(office: Office) -> None:
    office.registry.misbehave("manifest", Fault(hang_before_head=True))
    for _ in range(3):
        ordered = await _order(office, "app:1")
        kept = msgspec.json.decode((office.folder / "entrepot.warms").read_bytes())["warms"]
        assert kept[-1]["number"] == ordered["id"]
    for number in (1, 2, 3):
        await office.call(f"/warms/{number}", "DELETE")


async def test_only_the_chosen_platforms_are_fetched(office: Office) -> None:
    images = {
        platform: office.registry.content.add_image("library/app", layers=[platform.encode()])
        for platform in ("linux/amd64", "linux/arm64")
    }
    office.registry.content.add_index("library/app", "1", images)
    ordered = await _order(office, "app:1", platforms=("linux/arm64/v8",))
    assert ordered["platforms"] == ["linux/arm64"]
    assert (await _end(office, ordered["id"]))["state"] == "done"
    assert office.registry.count("blob", "GET", str(images["linux/arm64"].layers[0])) == 1
    assert office.registry.count("blob", "GET", str(images["linux/amd64"].layers[0])) == 0


async def test_warms_are_found_by_their_state_and_origin(office: Office) -> None:
    office.registry.content.add_image("library/app", "1")
    for image in ("app:1", "app:absent"):
        await _end(office, (await _order(office, image))["id"])

    async def found(query: str) -> list[int]:
        return [row["id"] for row in await office.get(f"/warms?{query}")]

    assert await found("") == await found("search=admin") == [2, 1]
    assert await found("sort=id") == [1, 2]
    assert await found("state=failed") == [2]
    assert await found("search=sync") == []


async def test_failures_are_named_with_their_reasons(office: Office) -> None:
    office.registry.content.add_image("library/app", "1")
    ordered = await _order(office, "app:1", "app:absent", "nowhere.test/app", "app:9.*")
    warm = await _end(office, ordered["id"])
    assert (warm["state"], warm["warmed"], warm["failed"]) == ("failed", 1, 2)
    failures = {failure["image"]: failure["reason"] for failure in warm["failures"]}
    assert failures.keys() == {"docker.io/library/app:absent", "nowhere.test/app:latest"}
    assert failures["nowhere.test/app:latest"] == "nowhere.test is not an upstream of this cache"


async def test_a_warm_can_be_cancelled_and_stays_listed(office: Office) -> None:
    office.registry.content.add_image("library/app", "1")
    office.registry.misbehave("manifest", Fault(hang_before_head=True))
    first = await _order(office, "app:1")
    assert (await office.call(f"/warms/{first['id']}", "DELETE")).status == 204
    assert (await office.call(f"/warms/{first['id']}", "DELETE")).status == 204
    second = await _order(office, "app:1")
    listed = await office.get("/warms")
    assert [(warm["id"], warm["state"]) for warm in listed] == [
        (second["id"], "running"),
        (first["id"], "cancelled"),
    ]
    assert listed[0]["current"] == ["docker.io/library/app:1"]
    await office.call(f"/warms/{second['id']}", "DELETE")


async def test_a_warm_that_ended_early_tells_how_far_it_was(office: Office) -> None:
    image = office.registry.content.add_image("library/app", "1", layers=[b"layer", bytes(2_000_000)])
    office.registry.misbehave("blob", Fault(hang_before_head=True), containing=str(image.layers[1]))
    here = f"/warms/{(await _order(office, 'app:1'))['id']}"
    await office.get_when(here, lambda warm: warm["done"])
    await office.call(here, "DELETE")
    warm = await office.get(here)
    assert (warm["size"], 0 < warm["done"] < 100) == (2_000_000 + len(b"layer") + len(b"{}"), True)


async def test_what_is_done_leaves_a_line_in_the_audit_log(office: Office) -> None:
    ordered = await _order(office, "app:1")
    await office.call(f"/warms/{ordered['id']}", "DELETE")
    lines: list[Any] = []
    while len(lines) < 2:
        lines = await office.eventually("/audit?event=action")
    cancelled, begun = lines
    assert (begun["action"], begun["detail"]) == (
        "warm",
        {"images": 1, "first": "docker.io/library/app:1", "warm": ordered["id"]},
    )
    assert (cancelled["action"], cancelled["detail"]) == ("cancel warm", {"warm": ordered["id"]})


@pytest.mark.parametrize(
    "body",
    [
        {"images": []},
        {"images": ["app", "Not an image"]},
        {"images": ["app"], "platforms": ["amd64"]},
        {"images": ["app"], "more": 1},
        {},
    ],
)
async def test_what_is_no_order_is_refused(office: Office, body: object) -> None:
    reply = await office.call("/warms", "POST", body)
    assert (reply.status, problem(reply)["status"]) == (400, 400)
    assert await office.get("/warms") == []


async def test_a_warm_that_there_is_not_is_not_found(office: Office) -> None:
    for method in ("GET", "DELETE"):
        reply = await office.call("/warms/7", method)
        assert (reply.status, problem(reply)["detail"]) == (404, "there is no warm 7, or no more")


async def test_more_warms_than_can_be_kept_are_a_conflict(office: Office) -> None:
    office.registry.misbehave("manifest", Fault(hang_before_head=True))
    ordered = [await _order(office, "app:1") for _ in range(32)]
    reply = await office.call("/warms", "POST", {"images": ["app:1"]})
    assert (reply.status, problem(reply)["detail"]) == (
        409,
        "32 warms are running: wait for one to end, or cancel it",
    )
    for warm in ordered:
        await office.call(f"/warms/{warm['id']}", "DELETE")
