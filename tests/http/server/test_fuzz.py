from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.http.server.conftest import Harbour

from entrepot.http.server import Limits, Receive, Refusal, Scope, Send
from entrepot.http.server.requests import KnownHeads, Request, RequestReader

LIMITS = Limits(head_bytes=512, target_bytes=64, headers=8, body_bytes=256)
WORDS = st.sampled_from(
    [
        b"GET ", b"POST ", b"HEAD ", b"/", b"/v2/", b"http://h/", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n\r\n", b"\n", b"\r",
        b"Host: h\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n",
        b"Connection: close\r\n", b"Upgrade: h2c\r\nConnection: Upgrade\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"abc", b"\0",
    ]
)  # fmt: skip
EXAMPLES = [
    b"GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n",
    b"\r\nHEAD /b HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n",
    b"GET /c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST /d HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\n\r\n\r\nGET ",
    b"POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    b"POST /f HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nab\r\n\r\n\r\n2;x=y\r\ncd\r\n0\r\nT: u\r\n\r\n",
    b"POST /g HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
]
STREAMS = st.lists(st.sampled_from(EXAMPLES), min_size=1, max_size=5).map(b"".join)
NOISE = st.one_of(st.lists(WORDS, max_size=30).map(b"".join), st.binary(max_size=200))
CUTS = st.lists(st.integers(min_value=0, max_value=400), max_size=20)


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[start:stop] for start, stop in pairwise(edges)]


def read_all(pieces: list[bytes]) -> list[Any]:
    """List what a connection would hear: whole requests with their bodies, and why it ended."""
    heard: list[Any] = []
    try:
        for request in requests_in(pieces):
            heard.append((request.fields, bytes(request.body or b""), request.keep_alive))
            if not request.keep_alive:
                break
    except Refusal as refusal:
        heard.append(refusal.status)
    return heard


def requests_in(pieces: list[bytes]) -> Iterator[Request]:
    reader = RequestReader(LIMITS, KnownHeads())
    for piece in pieces:
        position = 0
        while position < len(piece):
            position = reader.feed(piece, position)
            if reader.request is not None and reader.request.complete:
                yield reader.request
                reader.forget()


@given(STREAMS, CUTS)
def test_requests_are_the_same_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    whole = read_all([data])
    assert all(isinstance(one, tuple) for one in whole)
    assert read_all(pieces_of(data, cuts)) == whole
    assert read_all([data[at : at + 1] for at in range(len(data))]) == whole


def test_requests_are_the_same_wherever_they_are_cut_in_two() -> None:
    data = b"".join(EXAMPLES)
    whole = read_all([data])
    assert len(whole) == len(EXAMPLES)
    for at in range(len(data)):
        assert read_all([data[:at], data[at:]]) == whole, data[:at]


@given(NOISE, CUTS)
@settings(max_examples=400)
def test_noise_is_refused_the_same_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    whole = read_all([data])
    assert read_all(pieces_of(data, cuts)) == whole


@given(
    st.integers(min_value=1, max_value=1000),
    st.sampled_from([b"X", b"X: y\r\n", b"GET / HTTP/1.1\r\n", b"\r\n"]),
)
def test_no_head_is_kept_beyond_its_limit(step: int, filling: bytes) -> None:
    reader = RequestReader(LIMITS, KnownHeads())
    data = filling * 2000
    fed = 0
    try:
        for at in range(0, len(data), step):
            piece, position = data[at : at + step], 0
            while position < len(piece):
                position = reader.feed(piece, position)
                fed = at + position
    except Refusal:
        assert fed <= LIMITS.head_bytes
    else:
        raise AssertionError("an endless head was swallowed")


@given(parts=st.lists(st.one_of(NOISE, STREAMS), min_size=1, max_size=4), reads_body=st.booleans())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
async def test_no_bytes_upset_a_server(harbour: Harbour, parts: list[bytes], *, reads_body: bool) -> None:
    """What goes wrong in it reaches ``harbour.errors``, which must stay empty."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        while reads_body:
            message = await receive()
            if not message.get("more_body", False):
                break
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    server = await harbour.serve(app, linger_seconds=0)
    client = await harbour.connect()
    for part in parts:
        try:
            await client.say(part)
        except ConnectionError:
            break
        await asyncio.sleep(0)
    client.vanish()
    await server.stop(1)
    assert server.connections == 0
    assert harbour.errors == []
