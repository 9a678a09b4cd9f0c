from __future__ import annotations

import asyncio
import json

import pytest
from tests.http.server.conftest import GET, Harbour, answer_with, settle

from entrepot.http.server import Message, Receive, Scope, Send

POST = "POST / HTTP/1.1\r\nHost: cache\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request", "the client left"
        body += message["body"]
        more = message["more_body"]
    await answer_with(200, body)(scope, receive, send)


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
async def test_a_body_of_known_length_arrives_whole(harbour: Harbour, size: int) -> None:
    await harbour.serve(echo)
    client = await harbour.connect()
    for _ in range(2):
        await client.say(f"{POST}Content-Length: {size}\r\n\r\n".encode(), b"x" * size)
        assert (await client.answer()).body == b"x" * size


async def test_a_body_in_chunks_arrives_whole(harbour: Harbour) -> None:
    await harbour.serve(echo)
    client = await harbour.connect()
    for _ in range(2):
        await client.say(
            f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode(),
            b"3\r\nabc\r\n",
            b"2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n",
        )
        assert (await client.answer()).body == b"abcde"


async def test_a_body_that_looks_like_a_request_is_none(harbour: Harbour) -> None:
    await harbour.serve(echo)
    client = await harbour.connect()
    await client.say(f"{POST}Content-Length: {len(GET)}\r\n\r\n".encode() + GET + GET)
    assert (await client.answer()).body == GET
    assert (await client.answer()).body == b""


async def test_reading_waits_while_the_application_does_not_take_the_body(harbour: Harbour) -> None:
    gate = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await gate.wait()
        await echo(scope, receive, send)

    server = await harbour.serve(app, buffer_bytes=10_000, body_bytes=20 << 20)
    client = await harbour.connect()
    size = 16 << 20
    await client.say(f"{POST}Content-Length: {size}\r\n\r\n".encode())
    client.writer.write(b"x" * size)
    await settle(lambda: any(not connection._reading for connection in server._shared.connections))
    (connection,) = server._shared.connections
    assert 10_000 < connection._reader.unread <= 10_000 + (64 << 10)
    gate.set()
    assert len((await client.answer()).body) == size


async def test_a_body_that_is_too_large_is_a_413(harbour: Harbour) -> None:
    heard: list[Message] = []

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (message := await receive())["type"] != "http.disconnect":
            heard.append(message)

    await harbour.serve(app, body_bytes=1000)
    client = await harbour.connect()
    await client.say(f"{POST}Content-Length: 2000\r\n\r\n".encode(), b"x" * 2000)
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert sum(len(message["body"]) for message in heard) <= 1000
    assert await client.rest() == b""


async def test_a_body_that_turns_out_malformed_is_a_400(harbour: Harbour) -> None:
    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    await harbour.serve(app)
    client = await harbour.connect()
    await client.say(f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode(), b"3\r\nabc\r\n", b"nonsense\r\n")
    answer = await client.answer()
    assert answer.status == 400
    assert json.loads(answer.body)["errors"][0]["code"] == "UNSUPPORTED"
    assert await client.rest() == b""


async def test_an_answer_that_has_begun_is_finished_before_a_malformed_body_ends_the_connection(
    harbour: Harbour,
) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"b"})

    await harbour.serve(app)
    client = await harbour.connect()
    await client.say(f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode())
    answer = await client.head()
    await client.say(b"nonsense\r\n")
    assert answer.status == 200
    assert await client.rest() == b"ab"


async def test_a_small_body_nobody_reads_does_not_cost_the_connection(harbour: Harbour) -> None:
    await harbour.serve(answer_with(405))
    client = await harbour.connect()
    for _ in range(2):
        await client.say(f"{POST}Content-Length: 5000\r\n\r\n".encode())
        answer = await client.answer()
        assert answer.status == 405
        assert "connection" not in answer.headers
        await client.say(b"x" * 5000)
    assert (await client.get()).status == 405


async def test_a_body_that_filled_the_buffer_unread_does_not_stop_the_connection(harbour: Harbour) -> None:
    await harbour.serve(answer_with(405), buffer_bytes=10)
    client = await harbour.connect()
    for ahead in (b"", GET):
        await client.say(f"{POST}Content-Length: 5000\r\n\r\n".encode() + b"x" * 5000 + ahead)
        assert (await client.answer()).status == 405
        if ahead:
            assert (await client.answer()).status == 405
    assert (await client.get()).status == 405


async def test_a_large_body_nobody_reads_ends_the_connection_after_the_answer(harbour: Harbour) -> None:
    await harbour.serve(answer_with(405, b"no"))
    client = await harbour.connect()
    await client.say(f"{POST}Content-Length: 10000000\r\n\r\n".encode(), b"x" * 1_000_000)
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"], answer.body) == (405, "close", b"no")
    assert await client.rest() == b""


async def test_an_endless_body_nobody_reads_ends_the_connection(harbour: Harbour) -> None:
    await harbour.serve(answer_with(405, b"no"), drain_bytes=1000)
    client = await harbour.connect()
    await client.say(f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode())
    assert (await client.answer()).body == b"no"
    await client.say(b"100\r\n" + b"x" * 256 + b"\r\n")
    await client.say(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    assert await client.rest() == b""


async def test_a_body_that_nobody_reads_and_that_never_ends_is_given_up(harbour: Harbour) -> None:
    await harbour.serve(answer_with(405, b"no"), sweep_seconds=3600)
    client = await harbour.connect()
    await client.say(f"{POST}Content-Length: 10\r\n\r\nx".encode())
    assert (await client.answer()).body == b"no"
    await settle(lambda: all(one._exchange is None for one in harbour.server._shared.connections))
    harbour.run_out_of_time()
    assert await client.rest() == b""


async def test_a_client_that_asks_first_is_told_to_go_on_when_its_body_is_wanted(harbour: Harbour) -> None:
    await harbour.serve(echo)
    client = await harbour.connect()
    await client.say(f"{POST}Content-Length: 3\r\nExpect: 100-Continue\r\n\r\n".encode())
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.say(b"abc")
    assert (await client.answer()).body == b"abc"
    assert (await client.get()).status == 200


async def test_a_client_that_asks_first_and_is_answered_at_once_may_keep_its_body(harbour: Harbour) -> None:
    await harbour.serve(answer_with(405))
    client = await harbour.connect()
    await client.say(f"{POST}Content-Length: 3\r\nExpect: 100-continue\r\n\r\n".encode())
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (405, "close")
    assert await client.rest() == b""


async def test_nobody_is_told_to_go_on_after_the_answer_has_begun(harbour: Harbour) -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"so", "more_body": True})
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"me"})
        await waiting

    await harbour.serve(app)
    client = await harbour.connect()
    await client.say(f"{POST}Content-Length: 3\r\nExpect: 100-continue\r\n\r\n".encode())
    assert (await client.answer()).body == b"some"
    assert await client.rest() == b""


async def test_a_client_that_stops_within_its_body_is_given_up(harbour: Harbour) -> None:
    ended = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.set()

    await harbour.serve(app, stall_seconds=0.02)
    client = await harbour.connect()
    await client.say(f"{POST}Content-Length: 10\r\n\r\nx".encode())
    assert await client.is_cut()
    await ended.wait()


async def test_two_tasks_may_wait_for_news_and_one_may_give_up(harbour: Harbour) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        waiting = [asyncio.ensure_future(receive()) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"go ", "more_body": False})
        assert (await waiting[1])["type"] == "http.disconnect"

    await harbour.serve(app)
    client = await harbour.connect()
    await client.say(f"{POST}Content-Length: 3\r\n\r\n".encode())
    assert (await client.answer()).body == b"go "
