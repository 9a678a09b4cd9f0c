from __future__ import annotations

from typing import Any

import pytest
from tests.http.api.conftest import Office, problem

from entrepot.engine.purging import Purging
from entrepot.testing.registry_wire import Fault

APP = "docker.io/library/app"


@pytest.fixture
async def busy(office: Office) -> Office:
    """A cache of which something was asked, and to which something was done."""
    office.registry.content.add_image("library/app", "1")
    await office.pull("library/app/manifests/1")
    await office.post("/purge", {"upstream": "docker.io", "repositories": "*"})
    await office.post("/purge", {"upstream": "docker.io", "repositories": "*", "tags": "1", "dry_run": False})
    return office


async def _actions(office: Office) -> Any:
    """Return the actions, once they are written."""
    return await office.eventually("/audit?event=action")


async def test_what_is_done_is_recorded_with_who_did_it_and_a_dry_run_is_not(busy: Office) -> None:
    (action,) = await _actions(busy)
    assert (action["action"], action["user"], action["remote"]) == ("purge", "administrator", "127.0.0.1")
    assert (action["upstream"], action["detail"]) == ("docker.io", {"repositories": "*", "tags": "1"})
    assert "reason" not in action


async def test_what_failed_to_be_done_is_recorded_with_the_reason(office: Office) -> None:
    office.registry.misbehave("manifest", Fault(status=500), times=9)
    await office.call(f"/tags/1/refresh?repository={APP}", "POST")
    (action,) = await _actions(office)
    assert (action["action"], action["repository"], action["reference"]) == ("refresh", "library/app", "1")
    assert "500" in action["reason"]


async def test_what_a_fault_of_the_program_ended_is_not_recorded_as_done(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ValueError("a mistake")

    monkeypatch.setattr(Purging, "purge", fail)
    assert (await office.call("/purge", "POST", {"repositories": "*", "dry_run": False})).status == 500
    (action,) = await _actions(office)
    assert (action["action"], action["reason"]) == ("purge", "ended before it was done")


async def test_requests_are_found_by_who_made_them_and_of_what(busy: Office) -> None:
    await _actions(busy)
    (pull,) = await busy.get("/audit?repository=library/app&event=request")
    assert (pull["path"], pull["status"]) == ("/v2/library/app/manifests/1", 200)
    # The first of these calls is found as soon as it is written.
    calls = await busy.get_when("/audit?caller=administrator&event=request", lambda calls: len(calls) >= 3)
    assert {call["path"] for call in calls} == {"/api/v1/purge", "/api/v1/audit"}


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ("repository=app", 1),
        ("repository=library/app", 1),
        ("repository=index.docker.io/library/app", 1),
        ("repository=app&upstream=docker.io", 1),
        ("repository=app&upstream=quay.test", 0),
        ("repository=docker.io/library/app&upstream=quay.test", 0),
        ("repository=library/app&upstream=quay.test", 0),
        ("repository=quay.test/library/app", 0),
        ("repository=gone.test/app", 0),
        ("repository=UPPER", 0),
    ],
)
async def test_a_repository_is_named_as_it_is_for_a_pull(busy: Office, asked: str, count: int) -> None:
    await _actions(busy)
    assert len(await busy.get(f"/audit?event=request&{asked}")) == count


async def test_each_page_leads_to_the_next(busy: Office) -> None:
    await _actions(busy)
    first = await busy.call("/audit?page_size=1&until=2100-01-01T00:00:00Z&since=2000-01-01T00:00:00")
    second = await busy.ask_link(first, "next")
    assert (first.status, second.status) == (200, 200)
    assert first.body != second.body


async def test_a_page_or_a_time_that_cannot_be_is_refused(office: Office) -> None:
    for query in ("cursor=nonsense", "since=yesterday", "event=other", "page_size=0"):
        reply = await office.call(f"/audit?{query}")
        assert (reply.status, [one["key"] for one in problem(reply)["errors"]]) == (
            400,
            [query.partition("=")[0]],
        )
