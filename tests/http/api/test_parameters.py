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


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/"])
async def test_the_root_leads_to_the_description(office: Office, path: str) -> None:
    reply = await office.ask(path)
    assert reply.status == 200
    index = msgspec.json.decode(reply.body)
    assert index["name"] == "entrepot"
    for key in ("documentation", "openapi"):
        assert (await office.ask(index[key])).status == 200
