"""Clients beyond those that can be served at once."""

from __future__ import annotations

import asyncio

import pytest
from tests.http.server.conftest import GET, Harbour, answer_with, settle

from entrepot.http.server import Receive, Scope, Send, places
from entrepot.testing.waiting import PATIENCE


class Counter:
    """Answers one request after another, each when it is told to; ``asked`` are those that have come."""

    def __init__(self) -> None:
        self.asked = 0
        self.gate = asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        await self.gate.acquire()
        await answer_with()(scope, receive, send)


async def test_a_client_beyond_the_limit_waits_for_a_place(harbour: Harbour) -> None:
    counter = Counter()
    server = await harbour.serve(counter, connections=1, place_seconds=PATIENCE)
    first, second = await harbour.connect(), await harbour.connect()
    await first.say(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    await second.say(GET)
    await settle(lambda: server.connections == 2 and counter.asked)
    counter.gate.release()
    assert (await first.answer()).status == 200
    await settle(lambda: counter.asked == 2)
    counter.gate.release()
    assert (await second.answer()).status == 200
    assert harbour.refusals == []


async def test_they_are_served_in_the_order_in_which_they_came(harbour: Harbour) -> None:
    server = await harbour.serve(answer_with(), connections=2, place_seconds=PATIENCE)
    seated = [await harbour.connect() for _ in range(2)]
    assert [(await client.get()).status for client in seated] == [200, 200]
    third = await harbour.connect()
    await settle(lambda: server.connections == 3)
    fourth = await harbour.connect()
    await settle(lambda: server.connections == 4)
    await fourth.say(GET)
    seated[0].leave()
    assert (await third.get()).status == 200
    third.leave()
    assert (await fourth.answer()).status == 200


async def test_who_keeps_a_connection_for_later_makes_way(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_LONG_IDLE", 0.0)
    await harbour.serve(answer_with(), connections=1, place_seconds=PATIENCE)
    first = await harbour.connect()
    assert (await first.get()).status == 200
    second = await harbour.connect()
    assert (await second.get()).status == 200
    assert await first.rest() == b""


async def test_who_may_have_been_idle_but_for_a_moment_keeps_the_place(harbour: Harbour) -> None:
    """That it came after the last look is all that is known of when it came."""
    server = await harbour.serve(answer_with(), connections=1, place_seconds=PATIENCE, sweep_seconds=3600)
    server._shared.now -= 2
    first, second = await harbour.connect(), await harbour.connect()
    await settle(lambda: server.connections == 2)
    server._sweep()
    (seated,) = server._shared.places._seated
    assert seated.idle_for(server._shared.now) > 0
    server._sweep()
    assert await first.rest() == b""
    assert (await second.get()).status == 200


async def test_while_somebody_waits_no_connection_is_kept(harbour: Harbour) -> None:
    server = await harbour.serve(answer_with(), connections=1, place_seconds=PATIENCE)
    first = await harbour.connect()
    assert "connection" not in (await first.get()).headers
    second = await harbour.connect()
    await settle(lambda: server.connections == 2)
    assert (await first.get()).headers["connection"] == "close"
    assert (await second.get()).status == 200


async def test_one_who_waited_in_vain_leaves_the_place_to_others(harbour: Harbour) -> None:
    counter = Counter()
    server = await harbour.serve(counter, connections=1, place_seconds=0, linger_seconds=60)
    first, second = await harbour.connect(), await harbour.connect()
    await first.say(GET)
    assert (await second.answer()).status == 503
    counter.gate.release()
    assert (await first.answer()).status == 200
    first.leave()
    second.leave()
    await settle(lambda: server.connections == 0)
    third = await harbour.connect()
    counter.gate.release()
    assert (await third.get()).status == 200


async def test_who_waits_hears_at_once_that_the_server_stops(harbour: Harbour) -> None:
    counter = Counter()
    server = await harbour.serve(counter, connections=1, place_seconds=PATIENCE)
    first, second = await harbour.connect(), await harbour.connect()
    await first.say(GET)
    await settle(lambda: server.connections == 2 and counter.asked)
    stopping = asyncio.ensure_future(server.stop(PATIENCE))
    assert await second.rest() == b""
    counter.gate.release()
    assert (await first.answer()).status == 200
    await stopping
