from __future__ import annotations

import msgspec
from tests.http.api.conftest import Office, problem

from entrepot.testing.exchange import Reply


async def _tag_many(office: Office) -> None:
    for number in range(5):
        office.registry.content.add_image("library/app", f"v{number}", layers=[f"{number}".encode()])
        await office.pull(f"library/app/manifests/v{number}")


def _tags(reply: Reply) -> list[str]:
    return [row["tag"] for row in msgspec.json.decode(reply.body)]


async def test_a_list_comes_in_pages_that_lead_to_one_another(office: Office) -> None:
    await _tag_many(office)
    path = "/tags?repository=docker.io/library/app&sort=-tag&page_size=2"
    reply = await office.call(f"{path}&page=2")
    assert _tags(reply) == ["v2", "v1"]
    assert reply.headers["x-total-count"] == "5"
    query = "/api/v1/tags?repository=docker.io%2Flibrary%2Fapp&sort=-tag&page_size=2&page="
    assert reply.headers["link"] == (
        f'<{query}1>; rel="first", <{query}1>; rel="prev", <{query}3>; rel="next", <{query}3>; rel="last"'
    )
    assert _tags(await office.ask_link(reply, "next")) == ["v0"]


async def test_a_list_on_one_page_has_no_links(office: Office) -> None:
    reply = await office.call("/repositories")
    assert (reply.body, reply.headers["x-total-count"]) == (b"[]", "0")
    assert "link" not in reply.headers


async def test_beyond_the_last_page_there_is_nothing_but_the_way_back(office: Office) -> None:
    await _tag_many(office)
    reply = await office.call("/tags?repository=app&page=9&page_size=4")
    assert (_tags(reply), reply.headers["x-total-count"]) == ([], "5")
    assert 'page=2>; rel="last"' in reply.headers["link"]
    assert 'rel="next"' not in reply.headers["link"]


async def test_a_page_that_cannot_be_is_refused_by_name(office: Office) -> None:
    for query in ("page=0", "page_size=501", "page=x", "sort=colour"):
        details = problem(await office.call(f"/repositories?{query}"))
        assert details["status"] == 400
        assert [fault["key"] for fault in details["errors"]] == [query.partition("=")[0]]


async def test_head_is_answered_as_get_is_without_the_body(office: Office) -> None:
    await _tag_many(office)
    reply = await office.call("/repositories", "HEAD")
    assert (reply.status, reply.headers["x-total-count"], reply.body) == (200, "1", b"")
    assert int(reply.headers["content-length"]) > 2
