from __future__ import annotations

import asyncio
import re
import socket

import pytest
from tests.http.server.conftest import GET, Harbour, answer_with, settle

from entrepot.http.server import Receive, Scope, Send, Server


async def echo_target(scope: Scope, _receive: Receive, send: Send) -> None:
    body = f"{scope['method']} {scope['path']}?{scope['query_string'].decode()}".encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
    )
    await send({"type": "http.response.body", "body": body})


async def in_chunks(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for part in (b"one", b"", b"three" * 30_000):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


async def test_an_answer_goes_out_with_the_servers_own_headers(harbour: Harbour) -> None:
    await harbour.serve(answer_with(200, b"manifest", etag='"x"'))
    answer = await (await harbour.connect()).get()
    date = answer.headers.pop("date")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", date)
    assert (answer.status, answer.body) == (200, b"manifest")
    assert answer.headers == {"server": "entrepot", "content-length": "8", "etag": '"x"'}


async def test_a_scope_says_what_the_request_said(harbour: Harbour) -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
        await answer_with()(scope, receive, send)

    await harbour.serve(app)
    client = await harbour.connect()
    for more in ([], ["entrepot.at_hand"]):  # The second time it comes out of the memory of known heads.
        await client.get("/v2/a%2Fb/%C3%A9%FF%zz?n=1&x=%20", headers="X-A:  b \r\nx-a: c\r\n")
        scope = dict(scopes.pop())
        assert scope.pop("client") == client.writer.get_extra_info("sockname")
        assert scope.pop("extensions").keys() == {*("http.response.zerocopysend", "entrepot.abort", *more)}
        assert scope == {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/v2/a/b/é\ufffd%zz",
            "raw_path": b"/v2/a%2Fb/%C3%A9%FF%zz",
            "query_string": b"n=1&x=%20",
            "root_path": "",
            "headers": [(b"host", b"cache"), (b"x-a", b"b"), (b"x-a", b"c")],
            "server": ("127.0.0.1", harbour.port),
        }


async def test_an_application_may_change_its_scope_without_changing_the_next(harbour: Harbour) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert len(scope["headers"]) == 1
        assert scope["path"] == "/"
        scope["headers"].append((b"x", b"y"))
        scope["path"] = "/other"
        await answer_with()(scope, receive, send)

    await harbour.serve(app)
    client = await harbour.connect()
    assert [(await client.get()).status for _ in range(3)] == [200] * 3


async def test_credentials_are_not_kept_with_the_known_heads(harbour: Harbour) -> None:
    server = await harbour.serve(answer_with())
    client = await harbour.connect()
    await client.get(headers="Authorization: Basic c2VjcmV0\r\n")
    assert not server._shared.known_heads._known
    await client.get()
    assert list(server._shared.known_heads._known) == [GET]


@pytest.mark.parametrize(
    ("target", "heard"),
    [
        ("/a?b?c", "GET /a?b?c"),
        ("//a/../b", "GET //a/../b?"),
        ("http://other:5000/v2/?ns=x", "GET /v2/?ns=x"),
        ("HTTPS://user@other", "GET /?"),
        ("http://other?q", "GET /?q"),
        ("/a%00b", "GET /a\0b?"),
    ],
)
async def test_targets_come_in_two_forms(harbour: Harbour, target: str, heard: str) -> None:
    await harbour.serve(echo_target)
    assert (await (await harbour.connect()).get(target)).body.decode() == heard


async def test_the_authority_of_a_target_overrules_the_host_header(harbour: Harbour) -> None:
    hosts: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        hosts.extend(value for name, value in scope["headers"] if name == b"host")
        await answer_with()(scope, receive, send)

    await harbour.serve(app)
    await (await harbour.connect()).get("http://u:p@other:80/v2/")
    assert hosts == [b"other:80"]


async def test_options_may_ask_about_the_server(harbour: Harbour) -> None:
    await harbour.serve(echo_target)
    assert (await (await harbour.connect()).get("*", method="OPTIONS")).body == b"OPTIONS *?"


async def test_a_connection_serves_one_request_after_another(harbour: Harbour) -> None:
    server = await harbour.serve(echo_target)
    client = await harbour.connect()
    for name in ("/a", "/b", "/c"):
        assert (await client.get(name)).body.decode() == f"GET {name}?"
    assert server.connections == 1


async def test_ten_thousand_small_requests_pass_over_a_few_connections(harbour: Harbour) -> None:
    server = await harbour.serve(answer_with(200, b"small"))

    async def ask() -> None:
        client = await harbour.connect()
        for _ in range(250):
            await client.say(GET * 10)
            for _ in range(10):
                assert (await client.answer()).body == b"small"

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(ask())
    assert server.connections == 4


async def test_pipelined_requests_are_answered_in_order(harbour: Harbour) -> None:
    await harbour.serve(echo_target)
    client = await harbour.connect()
    names = [f"/{number}" for number in range(200)]
    await client.say(b"".join(f"GET {name} HTTP/1.1\r\nHost: cache\r\n\r\n".encode() for name in names))
    assert [(await client.answer()).body.decode() for _ in names] == [f"GET {name}?" for name in names]


async def test_pipelined_requests_wait_unparsed_while_one_is_answered(harbour: Harbour) -> None:
    running = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal running
        running += 1
        await asyncio.sleep(0)
        assert running == 1
        running -= 1
        await echo_target(scope, receive, send)

    server = await harbour.serve(app)
    client = await harbour.connect()
    flood = b"GET /flood HTTP/1.1\r\nHost: cache\r\n\r\n" * 5000
    saying = asyncio.create_task(client.say(flood))
    for _ in range(5000):
        await client.answer()
        (connection,) = server._shared.connections
        assert len(connection._backlog) <= 64 << 10
    await saying


@pytest.mark.parametrize("split", range(1, len(GET)))
async def test_a_request_may_come_in_any_two_pieces(harbour: Harbour, split: int) -> None:
    await harbour.serve(echo_target)
    client = await harbour.connect()
    connections = harbour.server._shared.connections
    await client.say(GET[:split])
    await settle(lambda: [one for one in connections if one._received == split])
    await client.say(GET[split:])
    assert (await client.answer()).body == b"GET /?"


async def test_empty_lines_before_a_request_are_passed_over(harbour: Harbour) -> None:
    await harbour.serve(echo_target)
    client = await harbour.connect()
    await client.say(b"\r\n\r\n" + GET + b"\r\n" + GET)
    assert [(await client.answer()).body for _ in range(2)] == [b"GET /?"] * 2


@pytest.mark.parametrize(
    ("request_head", "connection"),
    [
        ("GET / HTTP/1.1\r\nHost: cache\r\nConnection: close", "close"),
        ("GET / HTTP/1.1\r\nHost: cache\r\nConnection: foo, Close", "close"),
        ("GET / HTTP/1.0", "close"),
        ("GET / HTTP/1.0\r\nConnection: keep-alive", "keep-alive"),
        ("GET / HTTP/1.1\r\nHost: cache\r\nUpgrade: h2c\r\nConnection: Upgrade", "close"),
    ],
)
async def test_a_connection_ends_when_the_client_says_so(
    harbour: Harbour, request_head: str, connection: str
) -> None:
    await harbour.serve(answer_with(200, b"x"))
    client = await harbour.connect()
    for _ in range(2):
        await client.say(request_head.encode() + b"\r\n\r\n")
        answer = await client.answer()
        assert (answer.body, answer.headers["connection"]) == (b"x", connection)
        if connection == "close":
            assert await client.rest() == b""
            return


async def test_what_follows_a_last_request_is_not_answered(harbour: Harbour) -> None:
    await harbour.serve(answer_with(200, b"x"))
    client = await harbour.connect()
    await client.say(b"GET / HTTP/1.1\r\nHost: cache\r\nConnection: close\r\n\r\n" + GET)
    assert (await client.answer()).body == b"x"
    assert await client.rest() == b""


async def test_an_application_may_close_the_connection(harbour: Harbour) -> None:
    await harbour.serve(answer_with(200, b"x", connection="Close"))
    client = await harbour.connect()
    assert (await client.get()).headers["connection"] == "close"
    assert await client.rest() == b""


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304), ("GET", 204), ("HEAD", 404)])
async def test_some_answers_have_no_body_whatever_the_application_sends(
    harbour: Harbour, method: str, status: int
) -> None:
    await harbour.serve(answer_with(status, b"body", etag="x"))
    client = await harbour.connect()
    for _ in range(2):
        answer = await client.get(method=method)
        assert (answer.status, answer.headers["etag"]) == (status, "x")
        assert answer.headers.get("content-length") == (None if status == 204 else "4")
    await client.say(b"GET / HTTP/1.1\r\nHost: cache\r\nConnection: close\r\n\r\n")
    await client.head()
    assert await client.rest() == (b"body" if method == "HEAD" else b"")


async def test_a_head_of_a_chunked_answer_has_no_framing(harbour: Harbour) -> None:
    await harbour.serve(in_chunks)
    client = await harbour.connect()
    answer = await client.get(method="HEAD")
    assert answer.headers.keys() == {"date", "server"}
    assert (await client.get()).status == 200


async def test_a_body_of_unknown_length_comes_in_chunks(harbour: Harbour) -> None:
    await harbour.serve(in_chunks)
    client = await harbour.connect()
    for _ in range(2):
        assert (await client.get()).body == b"one" + b"three" * 30_000


async def test_http_1_0_gets_a_body_of_unknown_length_until_the_end(harbour: Harbour) -> None:
    await harbour.serve(in_chunks)
    client = await harbour.connect()
    await client.say(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    answer = await client.answer()
    assert "transfer-encoding" not in answer.headers
    assert (answer.headers["connection"], answer.body) == ("close", b"one" + b"three" * 30_000)


async def test_a_client_may_close_its_side_and_still_read(harbour: Harbour) -> None:
    left = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        assert await receive() == {"type": "http.disconnect"}
        left.set()
        await answer_with(200, b"late")(scope, receive, send)

    await harbour.serve(app)
    client = await harbour.connect()
    await client.say(GET)
    client.writer.write_eof()
    await left.wait()
    assert (await client.answer()).body == b"late"
    assert await client.rest() == b""


async def test_nagle_does_not_hold_answers_back(harbour: Harbour) -> None:
    server = await harbour.serve(answer_with())
    await (await harbour.connect()).get()
    (connection,) = server._shared.connections
    accepted = connection._transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@pytest.mark.parametrize("host", [None, "", "localhost"])
async def test_one_port_serves_every_address_of_a_host(host: str | None) -> None:
    clients: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        clients.append(scope["client"][0])
        await answer_with()(scope, receive, send)

    server = Server(app)
    addresses = await server.start(host, 0)
    assert len({port for _, port in addresses}) == 1
    reader, writer = await asyncio.open_connection("127.0.0.1", addresses[0][1])
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    assert clients == ["127.0.0.1"]
    writer.close()
    await server.stop(1)


async def test_a_port_in_use_is_reported(harbour: Harbour) -> None:
    await harbour.serve(answer_with())
    second = Server(answer_with())
    with pytest.raises(OSError, match="in use"):
        await second.start("127.0.0.1", harbour.port)
    await second.stop(0)
