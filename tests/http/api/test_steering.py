from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from tests.http.api.conftest import Office, problem

from entrepot.config.secret import HIDDEN
from entrepot.testing.registry_content import Image
from entrepot.testing.registry_wire import Fault

APP = "docker.io/library/app"
REFRESH = f"/tags/1/refresh?repository={APP}"
PULL = "library/app/manifests/1"


@pytest.fixture
async def image(office: Office) -> Image:
    image = office.registry.content.add_image("library/app", "1", layers=[b"layer"])
    await office.pull(PULL)
    await office.pull(f"library/app/blobs/{image.layers[0]}")
    await office.settle()
    return image


async def test_a_refresh_sees_at_once_that_a_tag_has_moved(office: Office, image: Image) -> None:
    moved = office.registry.content.add_image("library/app", "1", layers=[b"newer"])
    assert await office.pull(PULL) == image.content
    refreshed = await office.post(REFRESH)
    assert refreshed == {
        "repository": APP,
        "tag": "1",
        "before": str(image.digest),
        "after": str(moved.digest),
        "changed": True,
    }
    assert await office.pull(PULL) == moved.content


async def test_a_refresh_of_an_unmoved_tag_costs_one_head(office: Office, image: Image) -> None:
    office.registry.reset_counts()
    refreshed = await office.post(REFRESH)
    assert (refreshed["changed"], refreshed["after"]) == (False, str(image.digest))
    assert [request.method for request in office.registry.requests] == ["HEAD"]


async def test_a_tag_that_was_never_pulled_is_pulled(office: Office) -> None:
    image = office.registry.content.add_image("library/app", "1")
    refreshed = await office.post(REFRESH)
    assert (refreshed["before"], refreshed["after"]) == (None, str(image.digest))


async def test_a_refresh_is_made_only_of_what_was_seen(office: Office, image: Image) -> None:
    reply = await office.call(REFRESH, "POST", If_Match='"sha256:other"')
    assert reply.status == 412
    assert str(image.digest) in problem(reply)["detail"]
    assert (await office.call(REFRESH, "POST", If_Match=f'"{image.digest}"')).status == 200
    assert (await office.call(REFRESH, "POST", If_Match="*")).status == 200


async def test_what_is_cached_outlives_a_refresh_that_fails(office: Office, image: Image) -> None:
    office.registry.misbehave("manifest", Fault(status=500), times=9)
    reply = await office.call(REFRESH, "POST")
    assert (reply.status, problem(reply)["type"]) == (502, "urn:entrepot:problem:upstream-down")
    assert await office.pull(PULL) == image.content


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (Fault(status=403), 502, "upstream-refused"),
        (Fault(status=429, headers={"Retry-After": "7"}), 503, "upstream-rate-limited"),
        (Fault(status=404), 404, "not-here"),
    ],
)
async def test_an_upstreams_failure_is_told_as_such(
    office: Office, fault: Fault, status: int, kind: str
) -> None:
    office.registry.misbehave("manifest", fault, times=9)
    reply = await office.call(REFRESH, "POST")
    assert (reply.status, problem(reply)["type"]) == (status, f"urn:entrepot:problem:{kind}")
    if status == 503:
        assert reply.headers["retry-after"] == "7"


async def test_a_blob_that_the_disk_has_changed_is_dropped_and_fetched_again(
    office: Office, image: Image
) -> None:
    path, layer = f"/blobs/{image.layers[0]}/verify", image.layers[0]
    assert (await office.post(path))["verdict"] == "right"
    (file,) = office.folder.glob(f"blobs/**/{layer.hex}")
    file.write_bytes(b"LAYER")
    verified = await office.post(path)
    assert (verified["verdict"], verified["size"]) == ("dropped", 5)
    assert (await office.call(path, "POST")).status == 404
    assert await office.pull(f"library/app/blobs/{layer}") == b"layer"


async def test_a_manifest_that_the_disk_has_changed_is_dropped_and_fetched_again(
    office: Office, image: Image
) -> None:
    path = f"/manifests/{image.digest}/verify"
    assert (await office.post(path))["verdict"] == "right"
    database = sqlite3.connect(office.folder / "entrepot.db")
    with closing(database), database:
        database.execute("UPDATE manifest_contents SET content = x'7b7d'")
    assert (await office.post(path))["verdict"] == "dropped"
    assert (await office.call(path, "POST")).status == 404
    lines = await office.eventually("/audit?event=action", 3)
    assert [line["detail"]["verdict"] for line in lines] == ["gone", "dropped", "right"]


async def _purge(office: Office, **selected: Any) -> Any:
    return await office.post("/purge", selected)


async def test_a_purge_is_dry_unless_it_is_said_not_to_be(office: Office, image: Image) -> None:
    report = await _purge(office, upstream="docker.io", repositories="*")
    assert report == {
        "dry_run": True,
        "repositories": 1,
        "tags": 1,
        "manifests": 1,
        "blobs": 1,
        "size": 5,
        "names": [f"{APP}:1"],
    }
    assert await office.get(f"/blobs/{image.layers[0]}")
    assert [row["tag"] for row in await office.get(f"/tags?repository={APP}")] == ["1"]


@pytest.mark.parametrize(
    "selected",
    [
        {"upstream": "docker.io", "repositories": "*"},
        {"repositories": "library/*"},
        {"upstream": "docker.io", "repositories": "library/app", "tags": "1"},
        {"repositories": "*", "tags": "[0-9]*"},
    ],
    ids=str,
)
async def test_what_was_purged_is_fetched_again(
    office: Office, image: Image, selected: dict[str, str]
) -> None:
    await office.pull(PULL)
    report = await _purge(office, **selected, dry_run=False)
    assert (report["dry_run"], report["tags"], report["blobs"]) == (False, 1, 1)
    assert (await office.call(f"/blobs/{image.layers[0]}")).status == 404
    office.registry.reset_counts()
    assert await office.pull(PULL) == image.content
    assert await office.pull(f"library/app/blobs/{image.layers[0]}") == b"layer"
    assert [request.kind for request in office.registry.requests] == ["manifest", "blob"]


@pytest.mark.parametrize(
    "selected",
    [
        {"upstream": "quay.test", "repositories": "*"},
        {"repositories": "app"},
        {"repositories": "*", "tags": "2"},
    ],
    ids=str,
)
async def test_what_was_not_selected_stays(office: Office, image: Image, selected: dict[str, str]) -> None:
    report = await _purge(office, **selected, dry_run=False)
    assert (report["repositories"], report["tags"], report["names"]) == (0, 0, [])
    office.registry.reset_counts()
    assert await office.pull(PULL) == image.content
    assert await office.pull(f"library/app/blobs/{image.layers[0]}") == b"layer"
    assert office.registry.requests == []


@pytest.mark.usefixtures("image")
async def test_a_purge_takes_just_what_its_dry_run_told(office: Office) -> None:
    reply = await office.call("/purge", "POST", {"repositories": "library/*"})
    told = reply.headers["etag"]
    office.registry.content.add_image("library/app", "2")
    await office.pull("library/app/manifests/2")
    for_real = {"repositories": "library/*", "dry_run": False}
    assert (await office.call("/purge", "POST", for_real, If_Match=told)).status == 412
    assert len(await office.get(f"/tags?repository={APP}")) == 2
    told = (await office.call("/purge", "POST", {"repositories": "library/*"})).headers["etag"]
    assert (await office.call("/purge", "POST", for_real, If_Match=told)).status == 200
    assert await office.get("/repositories") == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tags": "*"},
        {"dry_run": False},
        {"repositories": "*", "upstreams": "docker.io"},
        [],
        {"repositories": ""},
    ],
)
async def test_a_purge_that_selects_nothing_or_nonsense_is_refused(office: Office, body: Any) -> None:
    reply = await office.call("/purge", "POST", body)
    assert problem(reply)["status"] == 400


async def test_settings_are_told_without_their_secrets(office: Office) -> None:
    settings = await office.get("/settings")
    assert settings["upstreams"]["quay.test"]["password"] == HIDDEN
    assert settings["admin"]["token"] == HIDDEN
