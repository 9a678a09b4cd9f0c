from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.http.server.conftest import GET, Harbour, answer_with, settle

from entrepot.http.server import Message, Receive, Scope, Send

START_CHUNKED: Message = {"type": "http.response.start", "status": 200, "headers": []}
SOME: Message = {"type": "http.response.body", "body": b"abc", "more_body": True}


class Stages:
    """An application that stops at a stage until the client is gone, and tries to go on."""

    def __init__(self, *messages: Message) -> None:
        self.messages = messages
        self.ready = asyncio.Event()
        self.outcome: list[Any] = []

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in self.messages:
            await send(message)
        self.ready.set()
        self.outcome.append(await receive())
        with pytest.raises(OSError, match="gone"):
            await self.go_on(send)
        self.outcome.append("told")

    async def go_on(self, send: Send) -> None:
        if not self.messages:
            await send(START_CHUNKED)
        while True:
            await send(SOME)
            await asyncio.sleep(0)


@pytest.mark.parametrize("messages", [[START_CHUNKED], [START_CHUNKED, SOME], [START_CHUNKED, SOME, SOME]])
@pytest.mark.parametrize("farewell", ["leave", "vanish"])
async def test_a_client_may_leave_at_every_stage(
    harbour: Harbour, messages: list[Message], farewell: str
) -> None:
    app = Stages(*messages)
    server = await harbour.serve(app)
    client = await harbour.connect()
    await client.say(GET)
    await app.ready.wait()
    getattr(client, farewell)()
    await settle(lambda: server.connections == 0)
    assert app.outcome == [{"type": "http.disconnect"}, "told"]


async def test_a_client_that_vanished_before_the_answer_is_not_answered(harbour: Harbour) -> None:
    app = Stages()
    server = await harbour.serve(app)
    client = await harbour.connect()
    await client.say(GET)
    await app.ready.wait()
    client.vanish()
    await settle(lambda: server.connections == 0)
    assert app.outcome == [{"type": "http.disconnect"}, "told"]
    assert harbour.refusals == []


async def test_a_client_may_leave_within_its_request(harbour: Harbour) -> None:
    server = await harbour.serve(answer_with())
    for beginning in (b"", b"GET", GET[:-1], b"POST / HTTP/1.1\r\nHost: cache\r\nContent-Length: 3\r\n\r\na"):
        client = await harbour.connect()
        await client.say(beginning)
        await settle(lambda: server.connections == 1)
        client.leave()
        await settle(lambda: server.connections == 0)


async def test_an_application_that_does_not_notice_is_cancelled_after_a_while(harbour: Harbour) -> None:
    cancelled = asyncio.Event()

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    server = await harbour.serve(app, abandoned_seconds=0.02)
    client = await harbour.connect()
    await client.say(GET)
    await settle(lambda: [one for one in server._shared.connections if one._exchange])
    client.vanish()
    await cancelled.wait()
    await settle(lambda: server.connections == 0)
