from __future__ import annotations

import json

import pytest
from tests.http.server.conftest import Answer, Client, Harbour, answer_with, settle

from entrepot.http.server import Receive, ResponseInvalid, Scope, Send

HOST = b"Host: cache\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: cache\r\nTransfer-Encoding: chunked\r\n\r\n"
MALFORMED = {
    "both lengths": b"POST / HTTP/1.1\r\nHost: cache\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, turned": b"POST / HTTP/1.1\r\nHost: cache\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: cache\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": b"POST / HTTP/1.1\r\nHost: cache\r\nContent-Length: 3, 3\r\n\r\nabc",
    "a signed length": b"POST / HTTP/1.1\r\nHost: cache\r\nContent-Length: +3\r\n\r\nabc",
    "no length": b"POST / HTTP/1.1\r\nHost: cache\r\nContent-Length:\r\n\r\n",
    "an endless length": b"POST / HTTP/1.1\r\nHost: cache\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "an unknown coding": b"POST / HTTP/1.1\r\nHost: cache\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding that looks chunked": b"POST / HTTP/1.1\r\nHost: cache\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding after chunked": b"POST / HTTP/1.1\r\nHost: cache\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: cache\n\n",
    "a bare line feed after a header": b"GET / HTTP/1.1\r\nHost: cache\n\r\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\nHost: cache\r\nX: a\rb\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: cache\r\nX: a\r\n b\r\n\r\n",
    "a space before a colon": b"GET / HTTP/1.1\r\nHost : cache\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    "a nameless header": b"GET / HTTP/1.1\r\nHost: cache\r\n: x\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nHost: cache\r\nX: \0\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: cache\r\nHost: other\r\n\r\n",
    "two hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: cache\r\nHost: other\r\n\r\n",
    "a host with a path": b"GET / HTTP/1.1\r\nHost: cache/x\r\n\r\n",
    "a host with a space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "a target with a bad authority": b"GET http://a@b\\c/ HTTP/1.1\r\nHost: cache\r\n\r\n",
    "a target that is no path": b"GET v2 HTTP/1.1\r\nHost: cache\r\n\r\n",
    "a target of another scheme": b"GET ftp://cache/ HTTP/1.1\r\nHost: cache\r\n\r\n",
    "a target with a fragment": b"GET /#x HTTP/1.1\r\nHost: cache\r\n\r\n",
    "a target with a space": b"GET /a b HTTP/1.1\r\nHost: cache\r\n\r\n",
    "a target with a byte that is no ASCII": b"GET /\xff HTTP/1.1\r\nHost: cache\r\n\r\n",
    "a star for GET": b"GET * HTTP/1.1\r\nHost: cache\r\n\r\n",
    "a tunnel": b"CONNECT other:443 HTTP/1.1\r\nHost: other\r\n\r\n",
    "a method in small letters": b"get / HTTP/1.1\r\nHost: cache\r\n\r\n",
    "an unknown method": b"STEAL / HTTP/1.1\r\nHost: cache\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version that is none": b"GET / HTTP/1.2\r\nHost: cache\r\n\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
TOO_MUCH = {
    "a long target": (414, b"GET /" + b"a" * 512 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a long header": (431, b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 2048 + b"\r\n\r\n"),
    "a long head that never ends": (431, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000),
    "many headers": (431, b"GET / HTTP/1.1\r\n" + HOST + b"X:\r\n" * 20 + b"\r\n"),
    "endless empty lines": (431, b"\r\n" * 1024),
    "HTTP/0.9": (505, b"GET /\r\n\r\n"),
    "HTTP/2 without asking": (505, b"GET / HTTP/2.0\r\nHost: cache\r\n\r\n"),
}


async def assert_refused(client: Client, status: int) -> Answer:
    answer = await client.answer()
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/json"
    (error,) = json.loads(answer.body)["errors"]
    assert error["message"]
    assert await client.rest() == b""
    return answer


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_is_a_400_and_the_end(harbour: Harbour, request_bytes: bytes) -> None:
    await harbour.serve(answer_with())
    client = await harbour.connect()
    await client.say(request_bytes)
    await assert_refused(client, 400)
    assert [refusal.status for refusal in harbour.refusals] == [400]


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_does_not_spoil_the_answer_before_it(
    harbour: Harbour, request_bytes: bytes
) -> None:
    await harbour.serve(answer_with(200, b"fine"))
    client = await harbour.connect()
    await client.say(b"GET / HTTP/1.1\r\nHost: cache\r\n\r\n" + request_bytes)
    assert (await client.answer()).body == b"fine"
    await assert_refused(client, 400)


@pytest.mark.parametrize(("status", "request_bytes"), TOO_MUCH.values(), ids=TOO_MUCH)
async def test_a_request_that_is_too_much_is_told_so(
    harbour: Harbour, status: int, request_bytes: bytes
) -> None:
    await harbour.serve(answer_with(), head_bytes=1024, target_bytes=256, headers=10)
    client = await harbour.connect()
    await client.say(request_bytes)
    await assert_refused(client, status)


async def test_a_request_up_to_the_limits_is_served(harbour: Harbour) -> None:
    await harbour.serve(answer_with(), head_bytes=1024, target_bytes=256, headers=10)
    client = await harbour.connect()
    assert (await client.get("/" + "a" * 255, headers="X:\r\n" * 9)).status == 200
    start = b"GET / HTTP/1.1\r\nHost: cache\r\nX: "
    await client.say(start + b"a" * (1024 - len(start) - 4) + b"\r\n\r\n")
    assert (await client.answer()).status == 200


async def test_a_refused_client_may_go_on_talking_and_still_reads_why(harbour: Harbour) -> None:
    await harbour.serve(answer_with())
    client = await harbour.connect()
    await client.say(b"nonsense\r\n" * 50_000)
    await assert_refused(client, 400)


async def test_a_client_beyond_the_limit_is_told_to_come_back(harbour: Harbour) -> None:
    server = await harbour.serve(answer_with(), connections=2, place_seconds=0)
    first, second = await harbour.connect(), await harbour.connect()
    assert [(await client.get()).status for client in (first, second)] == [200, 200]
    third = await harbour.connect()
    assert (await assert_refused(third, 503)).headers["retry-after"] == "1"
    third.leave()
    first.leave()
    await settle(lambda: server.connections == 1)
    assert (await (await harbour.connect()).get()).status == 200


async def test_a_client_far_beyond_the_limit_is_cut(harbour: Harbour) -> None:
    server = await harbour.serve(answer_with(), connections=1, linger_seconds=60, place_seconds=0)
    clients = [await harbour.connect() for _ in range(3)]
    await clients[1].head()
    assert (await clients[0].get()).status == 200
    assert await clients[2].reader.read() == b""
    assert server.connections == 2


INJECTIONS = [
    [(b"x", b"a\r\nset-cookie: b")],
    [(b"x", b"a\nb")],
    [(b"x", b"a\rb")],
    [(b"x\r\ny", b"a")],
    [(b"x", b"a\0b")],
    [[b"x", b"a\r\n\r\n<html>"]],
]


@pytest.mark.parametrize("headers", INJECTIONS)
async def test_no_header_of_an_application_can_break_a_line(harbour: Harbour, headers: object) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    await harbour.serve(app)
    client = await harbour.connect()
    await client.say(b"GET / HTTP/1.1\r\nHost: cache\r\n\r\n")
    assert "x" not in (await assert_refused(client, 500)).headers
    assert isinstance(harbour.fetch_error(), ResponseInvalid)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (101, []),
        (99, []),
        (1000, []),
        (200, [(b"content-length", b"-1")]),
        (200, [(b"content-length", b"1 ")]),
        (200, [(b"content-length", b"1"), (b"Content-Length", b"1")]),
    ],
)
async def test_a_head_that_cannot_be_framed_is_a_500(harbour: Harbour, status: int, headers: object) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})

    await harbour.serve(app)
    client = await harbour.connect()
    await client.say(b"GET / HTTP/1.1\r\nHost: cache\r\n\r\n")
    await assert_refused(client, 500)
    assert isinstance(harbour.fetch_error(), ResponseInvalid)


async def test_an_applications_framing_headers_are_not_its_own(harbour: Harbour) -> None:
    await harbour.serve(
        answer_with(299, b"x", transfer_encoding="gzip", Server="other", Date="never", upgrade="h2", X="y")
    )
    answer = await (await harbour.connect()).get()
    assert (answer.status, answer.body) == (299, b"x")
    assert answer.headers.keys() == {"content-length", "date", "server", "X"}
    assert answer.headers["server"] == "entrepot"
