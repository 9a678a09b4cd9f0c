from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.http.server.conftest import GET, Harbour, settle

from entrepot.http.server import (
    ASGIApp,
    ClientDisconnected,
    Message,
    Receive,
    ResponseInvalid,
    Scope,
    Send,
    Server,
)

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]}
START_CHUNKED: Message = {"type": "http.response.start", "status": 200, "headers": []}
SOME: Message = {"type": "http.response.body", "body": b"abc", "more_body": True}
END: Message = {"type": "http.response.body", "body": b"abc"}
ABORT: Message = {"type": "entrepot.abort"}
BEGINNINGS = [[START, SOME], [START_CHUNKED, SOME]]


class Bug(Exception):
    pass


def sending(*messages: Message, then: Callable[[], Awaitable[Any]] | None = None) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)
        if then is not None:
            await then()

    return app


async def fail() -> None:
    raise Bug


async def forever() -> None:
    await asyncio.Event().wait()


async def nothing() -> None:
    pass


@pytest.mark.parametrize("messages", [[], [START]])
@pytest.mark.parametrize("end", [fail, nothing])
async def test_an_application_that_gives_up_before_it_has_answered_is_a_500(
    harbour: Harbour, messages: list[Message], end: Callable[[], Awaitable[Any]]
) -> None:
    await harbour.serve(sending(*messages, then=end))
    client = await harbour.connect()
    answer = await client.get()
    assert (answer.status, answer.headers["connection"]) == (500, "close")
    assert json.loads(answer.body)["errors"][0]["code"] == "UNKNOWN"
    assert await client.rest() == b""
    if end is fail:
        assert isinstance(harbour.fetch_error(), Bug)


async def test_a_500_to_a_head_request_has_no_body(harbour: Harbour) -> None:
    await harbour.serve(sending(then=nothing))
    client = await harbour.connect()
    assert (await client.get(method="HEAD")).status == 500
    assert await client.rest() == b""


@pytest.mark.parametrize("messages", BEGINNINGS, ids=["of known length", "in chunks"])
@pytest.mark.parametrize("end", [fail, nothing])
async def test_an_answer_that_was_begun_and_not_finished_is_cut(
    harbour: Harbour, messages: list[Message], end: Callable[[], Awaitable[Any]]
) -> None:
    await harbour.serve(sending(*messages, then=end))
    client = await harbour.connect()
    await client.say(GET)
    assert await client.is_cut()
    if end is fail:
        assert isinstance(harbour.fetch_error(), Bug)


async def test_an_answer_until_the_end_of_the_connection_is_cut_by_a_reset(harbour: Harbour) -> None:
    """Without length or chunks nothing else tells the client that bytes are missing."""
    await harbour.serve(sending(START_CHUNKED, SOME, then=fail))
    client = await harbour.connect()
    await client.say(b"GET / HTTP/1.0\r\n\r\n")
    assert await client.is_cut()
    harbour.fetch_error()


async def test_an_application_may_cut_its_answer_on_purpose(harbour: Harbour) -> None:
    failures: list[OSError] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in (START_CHUNKED, SOME, ABORT):
            await send(message)
        assert await receive() == {"type": "http.disconnect"}
        try:
            await send(END)
        except ClientDisconnected as failure:
            failures.append(failure)

    await harbour.serve(app)
    client = await harbour.connect()
    await client.say(GET)
    assert await client.is_cut()
    assert len(failures) == 1


async def test_a_failure_after_the_whole_answer_harms_nobody(harbour: Harbour) -> None:
    await harbour.serve(sending(START, SOME, END, then=fail))
    client = await harbour.connect()
    for _ in range(2):
        assert (await client.get()).body == b"abcabc"
        await settle(lambda: harbour.errors)
        assert isinstance(harbour.fetch_error(), Bug)


RULES_BROKEN = {
    "a body first": [END],
    "two starts": [START, START],
    "too much": [START, SOME, SOME, SOME],
    "too much at the end": [START, SOME, {**END, "body": b"abcd"}],
    "too little": [START, SOME, {**END, "body": b"ab"}],
    "more after the end": [START, SOME, END, END],
    "an unknown event": [START, SOME, {"type": "http.response.trailers"}],
}


@pytest.mark.parametrize("messages", RULES_BROKEN.values(), ids=RULES_BROKEN)
async def test_an_application_that_breaks_the_rules_is_told(
    harbour: Harbour, messages: list[Message]
) -> None:
    await harbour.serve(sending(*messages))
    client = await harbour.connect()
    await client.say(GET)
    received = await client.reader.read(10_000)
    assert received.count(b"HTTP/1.1") <= 1
    await settle(lambda: harbour.errors)
    assert isinstance(harbour.fetch_error(), ResponseInvalid)


async def test_no_byte_beyond_the_promised_length_is_sent(harbour: Harbour) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(ResponseInvalid):
            await sending(START, SOME, {**END, "body": b"abcd"})(scope, receive, send)
        await send(END)

    await harbour.serve(app)
    client = await harbour.connect()
    assert [(await client.get()).body for _ in range(2)] == [b"abcabc"] * 2


async def test_without_a_hook_failures_reach_the_event_loop(harbour: Harbour) -> None:
    server = Server(sending(then=fail))
    ((host, port),) = await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(GET)
    assert (await reader.read()).startswith(b"HTTP/1.1 500")
    writer.close()
    await server.stop(1)
    assert isinstance(harbour.fetch_error(), Bug)
