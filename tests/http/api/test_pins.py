from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.http.api.conftest import Office, problem, running

from entrepot.config.retention import RetentionSettings

PIN = {"upstream": "docker.io", "pattern": "library/postgres:16*"}
HERE = "/pins?upstream=docker.io&pattern=library%2Fpostgres%3A16%2A"


async def _patterns(office: Office, query: str = "") -> list[str]:
    return [row["pattern"] for row in await office.get(f"/pins{query}")]


async def test_a_pin_is_made_once_and_listed_where_it_says(office: Office) -> None:
    made = await office.call("/pins", "POST", PIN)
    assert (made.status, made.headers["location"]) == (201, f"/api/v1{HERE}")
    (row,) = await office.get(HERE)
    assert (row["upstream"], row["pattern"], row["source"]) == (*PIN.values(), "administrator")
    again = await office.call("/pins", "POST", PIN)
    assert (again.status, again.body) == (200, made.body)
    assert await office.get("/pins") == [row]


async def test_a_pin_is_removed_once(office: Office) -> None:
    await office.call("/pins", "POST", PIN)
    assert (await office.call(HERE, "DELETE")).status == 204
    assert await office.get("/pins") == []
    missing = await office.call(HERE, "DELETE")
    assert (missing.status, problem(missing)["type"]) == (404, "urn:entrepot:problem:not-here")
    assert (await office.call("/pins?upstream=docker.io&pattern=%20", "DELETE")).status == 404


async def test_a_pin_is_removed_only_as_it_was_seen(office: Office) -> None:
    await office.call("/pins", "POST", PIN)
    seen = (await office.call(HERE)).headers["etag"]
    assert (await office.call(HERE, "DELETE", If_Match='"other"')).status == 412
    await office.call(HERE, "DELETE", If_Match=seen)
    await office.call("/pins", "POST", PIN)  # By somebody else, who needs it.
    assert (await office.call(HERE, "DELETE", If_Match=seen)).status == 412
    assert len(await office.get("/pins")) == 1


@pytest.mark.parametrize(
    ("upstream", "pattern", "key", "expected"),
    [
        ("ghcr.io", "a/b", "upstream", "expected one of docker.io, quay.test"),
        ("docker.io", "a b", "pattern", "expected a repository or repository:tag"),
        ("docker.io", "library/a:", "pattern", "expected a repository or repository:tag"),
        ("docker.io", "postgres:16*", "pattern", "expected library/postgres:16*"),
        ("docker.io", "docker.io/postgres", "pattern", "expected library/postgres"),
        ("quay.test", "quay.test/a/b:1", "pattern", "expected a/b:1"),
        ("quay.test", "Team/*:V1", "pattern", "expected team/*:V1"),
    ],
)
async def test_what_could_protect_nothing_is_refused_with_what_is_expected(
    office: Office, upstream: str, pattern: str, key: str, expected: str
) -> None:
    reply = await office.call("/pins", "POST", {"upstream": upstream, "pattern": pattern})
    assert reply.status == 400
    (error,) = problem(reply)["errors"]
    assert error["key"] == key
    assert expected in error["message"]


async def test_pins_are_sorted_filtered_and_cut_into_pages(office: Office) -> None:
    for upstream, pattern in (("quay.test", "b/*"), ("docker.io", "c/*"), ("docker.io", "a/*")):
        body = {"upstream": upstream, "pattern": pattern}
        assert (await office.call("/pins", "POST", body)).status == 201
    assert await _patterns(office) == ["a/*", "c/*", "b/*"]
    assert await _patterns(office, "?sort=-pattern") == ["c/*", "b/*", "a/*"]
    assert await _patterns(office, "?sort=created_at") == ["b/*", "c/*", "a/*"]
    assert await _patterns(office, "?upstream=docker.io&search=c") == ["c/*"]
    page = await office.call("/pins?page=2&page_size=2")
    assert page.headers["x-total-count"] == "3"
    assert 'rel="prev"' in page.headers["link"]


async def test_pins_outlive_a_restart_and_a_lost_database(tmp_path: Path) -> None:
    async with running(tmp_path) as office:
        await office.call("/pins", "POST", PIN)
    (tmp_path / "entrepot.db").unlink()
    async with running(tmp_path) as office:
        assert await _patterns(office) == ["library/postgres:16*"]


async def test_a_pin_of_the_configuration_is_removed_there(tmp_path: Path) -> None:
    async with running(tmp_path, {"retention": RetentionSettings(pin=(PIN["pattern"],))}) as office:
        (row,) = await office.get("/pins")
        assert (row["source"], row["created_at"]) == ("configuration", None)
        refused = await office.call(HERE, "DELETE")
        assert refused.status == 409
        assert "remove it from retention.pin" in problem(refused)["detail"]
        # Set here as well, it outlives what the configuration says.
        assert (await office.call("/pins", "POST", PIN)).status == 201
        assert [pin["source"] for pin in await office.get("/pins")] == ["administrator", "configuration"]
        assert (await office.call(HERE, "DELETE")).status == 204
        assert await office.get("/pins") == [row]


async def test_each_pin_set_or_removed_or_refused_leaves_a_line(office: Office) -> None:
    await office.call("/pins", "POST", PIN)
    for _ in range(2):
        await office.call(HERE, "DELETE")
    lines: list[Any] = await office.eventually("/audit?event=action", 3)
    told = [(line["action"], line["upstream"], line["detail"]["pattern"], "reason" in line) for line in lines]
    assert told == [
        ("unpin", *PIN.values(), True),
        ("unpin", *PIN.values(), False),
        ("pin", *PIN.values(), False),
    ]
