from __future__ import annotations

import asyncio
from typing import Any

import pytest
from litestar import get
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from tests.http.api.conftest import Office, problem

from entrepot.http.api.guard import Guard, needs
from entrepot.policy.permission import Action, Caller, Role
from entrepot.testing.virtual_clock import VirtualClock


async def test_without_a_token_the_caller_is_asked_for_one(office: Office) -> None:
    for headers in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer "}):
        reply = await office.ask("/api/v1/upstreams", headers=headers)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, 'Bearer realm="entrepot"')
        assert "Authorization: Bearer TOKEN" in problem(reply)["detail"]


async def test_the_description_of_the_api_needs_no_token(office: Office) -> None:
    assert (await office.ask("/api/v1/docs")).status == 200
    assert (await office.ask("/api/v1/docs/openapi.json")).status == 200


async def test_what_a_path_offers_is_told_to_who_may_see_it(office: Office) -> None:
    assert (await office.ask("/api/v1/repositories", "OPTIONS")).status == 401
    reply = await office.call("/repositories", "OPTIONS")
    assert (reply.status, set(reply.headers["allow"].split(", "))) == (204, {"GET", "HEAD", "OPTIONS"})
    reply = await office.call("/purge", "GET")
    assert (reply.status, set(reply.headers["allow"].split(", "))) == (405, {"POST", "OPTIONS"})


class Known:
    """Knows the administrator by ``right``, and by ``other`` somebody without a role."""

    async def identify(self, token: str) -> Caller | None:
        callers = {"right": Caller("administrator", Role.ADMINISTRATOR), "other": Caller("somebody")}
        return callers.get(token)


@get("/", opt=needs(Action.PURGE))
async def handler() -> None: ...


async def _answer(guard: Guard, authorization: str) -> tuple[int, dict[str, str]]:
    """Return the status and the headers of the guard's refusal; 200 where it lets the caller pass."""
    scope: Any = {"type": "http", "headers": [(b"authorization", authorization.encode())]}
    try:
        await guard(ASGIConnection(scope), handler)
    except HTTPException as refusal:
        return refusal.status_code, dict(refusal.headers or {})
    assert scope["user"] == Caller("administrator", Role.ADMINISTRATOR)
    return 200, {}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_right_token_passes_at_once(scheme: str) -> None:
    clock = VirtualClock(autojump=True)
    assert await _answer(Guard(Known(), clock), f"{scheme} right") == (200, {})
    assert clock.sleeps == []


async def test_a_known_caller_who_may_not_is_told_so_and_not_asked_for_a_token() -> None:
    assert await _answer(Guard(Known(), VirtualClock()), "Bearer other") == (403, {})


async def test_a_wrong_token_waits_for_its_answer() -> None:
    clock = VirtualClock(autojump=True)
    status, headers = await _answer(Guard(Known(), clock), "Bearer wrong")
    assert (status, clock.sleeps) == (401, [1.0])
    assert headers["WWW-Authenticate"] == 'Bearer realm="entrepot", error="invalid_token"'


async def test_of_many_wrong_tokens_few_wait_and_the_right_one_never_does() -> None:
    clock = VirtualClock()
    guard = Guard(Known(), clock)
    async with asyncio.TaskGroup() as group:
        guesses = [group.create_task(_answer(guard, "Bearer wrong")) for _ in range(20)]
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(clock.sleeps) == 16
        assert await _answer(guard, "Bearer wrong") == (429, {"Retry-After": "1"})
        assert await _answer(guard, "Bearer right") == (200, {})
        clock.advance(1.0)
    assert sorted(guess.result()[0] for guess in guesses) == [401] * 16 + [429] * 4
    clock.advance(1.0)
