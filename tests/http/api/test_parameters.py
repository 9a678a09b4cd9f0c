from __future__ import annotations

import msgspec
import pytest
from tests.http.api.conftest import Office, problem


@pytest.mark.parametrize(
    ("path", "key", "known"),
    [
        (
            "/tags?repository=docker.io/library/app&serach=v1",
            "serach",
            "page, page_size, repository, search, sort",
        ),
        ("/jobs/flush%20uses?outcome=ok", "outcome", "none is expected"),
        ("/audit?repo=x", "repo", "caller"),
    ],
)
async def test_a_parameter_that_is_not_known_is_refused_with_those_that_are(
    office: Office, path: str, key: str, known: str
) -> None:
    reply = await office.call(path)
    assert reply.status == 400
    details = problem(reply)
    assert key in details["detail"]
    ((name, message),) = [(fault["key"], fault["message"]) for fault in details["errors"]]
    assert name == key
    assert known in message


async def test_known_parameters_are_taken_and_a_wrong_token_is_told_first(office: Office) -> None:
    assert (await office.call("/upstreams?page=1&page_size=5&sort=-name")).status == 200
    assert (await office.ask("/api/v1/upstreams?nonsense=1")).status == 401


@pytest.mark.parametrize(
    ("query", "headers", "status"), [("x" * 20_000, {}, 414), ("", {"x": "y" * 100_000}, 431)]
)
async def test_what_the_server_does_not_read_is_refused_as_it_is_described(
    office: Office, query: str, headers: dict[str, str], status: int
) -> None:
    reply = await office.ask(f"/api/v1/pins?{query}", headers=headers)
    described = msgspec.json.decode((await office.ask("/api/v1/docs/openapi.json")).body)
    assert reply.status == status
    for operation in described["paths"]["/api/v1/pins"].values():
        assert reply.headers["content-type"] in operation["responses"][str(status)]["content"]


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/"])
async def test_the_root_leads_to_the_description(office: Office, path: str) -> None:
    reply = await office.ask(path)
    assert reply.status == 200
    index = msgspec.json.decode(reply.body)
    assert index["name"] == "entrepot"
    for key in ("documentation", "openapi"):
        assert (await office.ask(index[key])).status == 200
