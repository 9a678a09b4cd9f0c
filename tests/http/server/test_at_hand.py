"""Answers that the server gives again without the application."""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from tests.http.server.conftest import GET, Answer, Client, Harbour, settle

from entrepot.http.server import Receive, ResponseInvalid, Scope, Send
from entrepot.http.server.connection import Connection
from entrepot.testing.certificates import certify, server_context


class Lender:
    """An application that lets the server give its answers again, for as long as ``holds``."""

    def __init__(self, body: bytes = b"held") -> None:
        self.body = body
        self.offered: bytes | None = None
        self.asked = self.offers = 0
        self.holds = True
        self.answered: list[tuple[str, float]] = []
        self.begun = 0.0

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.asked += 1
        headers = [(b"content-length", b"%d" % len(self.body)), (b"x-asked", b"%d" % self.asked)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})
        if "entrepot.at_hand" in scope["extensions"]:
            self.offers += 1
            offered = self.body if self.offered is None else self.offered
            await send({"type": "entrepot.at_hand", "body": offered, "answer": self})

    def begin(self) -> float | None:
        self.begun += 1.0
        return self.begun if self.holds else None

    def given(self, peer: str, begun: float) -> None:
        self.answered.append((peer, begun))


async def lent(client: Client, method: str = "GET") -> Answer:
    """Ask until the answer is at hand: what comes once may never come again."""
    await client.get(method=method)
    return await client.get(method=method)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_is_at_hand_is_given_again_as_it_was(harbour: Harbour, method: str) -> None:
    lender = Lender()
    await harbour.serve(lender)
    client, other = await harbour.connect(), await harbour.connect()
    first = await lent(client, method)
    again = [await client.get(method=method), await other.get(method=method), await client.get(method=method)]
    for answer in (first, *again):
        assert answer.headers.pop("date")
    assert again == [first] * 3
    assert first.body == (b"held" if method == "GET" else b"")
    assert lender.asked == 2
    assert lender.answered == [("127.0.0.1", 1.0), ("127.0.0.1", 2.0), ("127.0.0.1", 3.0)]


async def test_nothing_is_kept_for_what_comes_once(harbour: Harbour) -> None:
    lender = Lender()
    await harbour.serve(lender)
    client = await harbour.connect()
    for number in range(3):
        await client.get(headers=f"X-Request-Id: {number}\r\n")
    assert (lender.asked, lender.offers) == (3, 0)


async def test_the_application_is_asked_where_it_does_not_hold_any_more(harbour: Harbour) -> None:
    lender = Lender()
    await harbour.serve(lender)
    client = await harbour.connect()
    await lent(client)
    lender.holds = False
    assert [(await client.get()).headers["x-asked"] for _ in range(2)] == ["3", "4"]
    lender.holds = True
    assert (await client.get()).headers["x-asked"] == "4"
    assert len(lender.answered) == 1


@pytest.mark.parametrize(
    "headers",
    ["Connection: close\r\n", "Authorization: Basic eDp5\r\n"],
    ids=["a connection that ends", "a credential"],
)
async def test_what_is_for_one_client_alone_is_not_kept(harbour: Harbour, headers: str) -> None:
    lender = Lender()
    await harbour.serve(lender)
    for asked in ("1", "2", "3"):
        client = await harbour.connect()
        assert (await client.get(headers=headers)).headers["x-asked"] == asked
    assert lender.offers == 0


async def test_requests_differ_by_every_byte(harbour: Harbour) -> None:
    lender = Lender()
    await harbour.serve(lender)
    client = await harbour.connect()
    answers = [await client.get(target, headers=f"X-I: {i}\r\n") for target in ("/a", "/b") for i in "121212"]
    assert [answer.headers["x-asked"] for answer in answers] == [*"123434567878"]


async def test_an_old_client_is_answered_in_its_own_words(harbour: Harbour) -> None:
    lender = Lender()
    await harbour.serve(lender)
    client = await harbour.connect()
    for asked in ("1", "2", "3"):
        await client.say(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await client.answer()
        assert (answer.headers["x-asked"], answer.headers["connection"]) == (asked, "keep-alive")


async def test_what_comes_in_pieces_or_at_once_gets_one_answer_each(harbour: Harbour) -> None:
    lender = Lender()
    await harbour.serve(lender)
    client = await harbour.connect()
    await lent(client)
    whole = b"GET / HTTP/1.1\r\nHost: cache\r\n\r\n"
    await client.say(whole[:9])
    await settle(lambda: any(one._reader.in_head for one in harbour.server._shared.connections))
    await client.say(whole[9:] + whole * 2, whole)
    assert [(await client.answer()).body for _ in range(4)] == [b"held"] * 4


async def test_who_does_not_read_is_waited_for(harbour: Harbour) -> None:
    lender = Lender(b"x" * 16_000)
    await harbour.serve(lender)
    client = await harbour.connect(receives=8192)
    await lent(client)
    reading = cast("asyncio.Transport", client.writer.transport)  # The stub knows its writing side only.
    reading.pause_reading()
    for _ in range(400):
        client.writer.write(GET)
    await settle(lambda: any(one._outlet.paused for one in harbour.server._shared.connections))
    (connection,) = harbour.server._shared.connections
    assert connection._outlet.buffered < 1 << 20
    reading.resume_reading()
    for _ in range(400):
        assert (await client.answer()).body == lender.body


async def test_who_asks_and_does_not_read_is_not_given_more_than_anybody(harbour: Harbour) -> None:
    lender = Lender(b"x" * 16_000)
    await harbour.serve(lender)
    client = await harbour.connect(receives=8192)
    await lent(client)
    (connection,) = harbour.server._shared.connections
    reading = cast("asyncio.Transport", client.writer.transport)
    reading.pause_reading()
    asked = 0
    while connection._reading:
        assert connection._outlet.buffered < 128 << 10
        await _ask_alone(client, connection)
        asked += 1
    assert connection._outlet.paused
    assert lender.asked == 3
    reading.resume_reading()
    for _ in range(asked):
        assert (await client.answer()).body == lender.body


async def test_what_is_given_stands_behind_what_waits_to_be_taken(harbour: Harbour) -> None:
    lender = Lender(b"x" * 16_000)
    server = await harbour.serve(lender)
    client = await harbour.connect(receives=8192)
    await lent(client)
    (connection,) = server._shared.connections
    reading = cast("asyncio.Transport", client.writer.transport)
    reading.pause_reading()
    size, asked = server.bytes_sent // 2, 1
    while not connection._outlet.buffered:
        await _ask_alone(client, connection)
        asked += 1
    taken = bytearray()
    with suppress(BlockingIOError):  # Now there is room again, which the server has not noticed yet.
        while part := os.read(client.writer.get_extra_info("socket").fileno(), 1 << 20):
            taken += part
    await _ask_alone(client, connection)
    reading.resume_reading()
    taken += await client.reader.readexactly(size * asked - len(taken))
    assert {len(answer) for answer in taken.split(b"HTTP/1.1 200 OK\r\n")} == {0, size - 17}
    assert taken.count(b"\r\n\r\n" + lender.body) == asked


async def _ask_alone(client: Client, connection: Connection) -> None:
    """Return when the server has heard it: what comes at once is not known again, and waits anyhow."""
    before = connection._received
    client.writer.write(GET)
    await settle(lambda: connection._received > before)


async def test_it_is_given_over_tls(harbour: Harbour, tmp_path: Path) -> None:
    made = certify(tmp_path, "cache", of="DNS:cache")
    lender = Lender()
    await harbour.serve(lender, tls=server_context(made))
    client = await harbour.connect(tls=ssl.create_default_context(cafile=made.certificate))
    assert [(await client.get()).body for _ in range(3)] == [b"held"] * 3
    assert lender.asked == 2


async def test_a_client_makes_way_for_who_waits(harbour: Harbour) -> None:
    lender = Lender()
    server = await harbour.serve(lender, connections=1)
    client = await harbour.connect()
    await lent(client)
    waiting = await harbour.connect()
    await settle(lambda: server.connections == 2)
    assert (await client.get()).headers["connection"] == "close"
    assert (await waiting.get()).body == b"held"


async def test_only_what_was_given_can_be_at_hand(harbour: Harbour) -> None:
    lender = Lender()
    lender.offered = b"another"
    await harbour.serve(lender)
    client = await harbour.connect()
    await lent(client)
    assert isinstance(harbour.fetch_error(), ResponseInvalid)
    lender.offered = None
    assert (await client.get()).headers["x-asked"] == "3"


async def test_what_was_not_given_yet_cannot_be_at_hand(harbour: Harbour) -> None:
    lender = Lender()

    async def hasty(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "entrepot.at_hand", "body": lender.body, "answer": lender})

    await harbour.serve(hasty)
    client = await harbour.connect()
    assert (await client.get()).status == 500
    assert isinstance(harbour.fetch_error(), ResponseInvalid)


async def test_bytes_and_deadlines_are_counted_as_ever(harbour: Harbour) -> None:
    server = await harbour.serve(Lender(), head_seconds=10, keep_alive_seconds=1000)
    client = await harbour.connect()
    (connection,) = server._shared.connections
    sent: list[Any] = [0]
    for _ in range(4):
        connection.deadline = 0.0
        await client.get()
        assert connection.deadline > server._shared.now + 500
        sent.append(server.bytes_sent)
    first, *more = (after - before for before, after in pairwise(sent))
    assert more == [first] * 3 != [0] * 3


async def test_what_is_told_as_given_was_sent(harbour: Harbour) -> None:
    class Observer(Lender):
        def given(self, peer: str, begun: float) -> None:
            super().given(peer, begun)
            sent.append(harbour.server.bytes_sent)

    sent: list[int] = []
    await harbour.serve(Observer())
    client = await harbour.connect()
    for _ in range(4):
        await client.get()
        sent.append(harbour.server.bytes_sent)
    _, _, given, third, given_again, fourth = sent
    assert (given, given_again) == (third, fourth)
