from __future__ import annotations

import socket

import pytest

from entrepot.oci.digest import Digest
from entrepot.testing.exchange import Download, ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_wire import Fault

BLOB = bytes(range(256)) * 4096


@pytest.mark.parametrize("fault", [Fault(), Fault(chunked=True), Fault(no_length=True)], ids=repr)
def test_an_answer_that_reached_its_end_is_whole(fault: Fault) -> None:
    with FakeRegistry.in_thread() as registry:
        digest = registry.content.add_blob("app", BLOB)
        registry.misbehave("blob", fault)
        reply = ask(registry.url, f"/v2/app/blobs/{digest}")
    assert (reply.status, reply.whole, reply.digest) == (200, True, Digest.of(BLOB))


@pytest.mark.parametrize("fault", [Fault(cut_after=0.5), Fault(cut_after=0.5, chunked=True)], ids=repr)
def test_an_answer_that_broke_off_is_not_whole(fault: Fault) -> None:
    with FakeRegistry.in_thread() as registry:
        digest = registry.content.add_blob("app", BLOB)
        registry.misbehave("blob", fault)
        reply = ask(registry.url, f"/v2/app/blobs/{digest}")
    assert not reply.whole


def test_a_download_is_read_at_the_reader_s_pace_and_headers_have_lower_case_names() -> None:
    with FakeRegistry.in_thread() as registry:
        digest = registry.content.add_blob("app", BLOB)
        with Download(registry.url, f"/v2/app/blobs/{digest}", headers={"Range": "bytes=10-"}) as download:
            assert download.read(5) == BLOB[10:15]
            rest = download.rest()
    assert (rest.status, rest.whole, rest.body == BLOB[15:]) == (206, True, True)
    assert rest.headers["content-range"] == f"bytes 10-{len(BLOB) - 1}/{len(BLOB)}"


def test_an_answer_to_head_is_whole_without_a_body() -> None:
    with FakeRegistry.in_thread() as registry:
        digest = registry.content.add_blob("app", BLOB)
        reply = ask(registry.url, f"/v2/app/blobs/{digest}", method="HEAD")
    assert (reply.whole, reply.body) == (True, b"")


def test_an_exchange_that_fails_is_closed_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(TimeoutError) as failure:
            Download(f"http://127.0.0.1:{listener.getsockname()[1]}", "/", within=0.02)
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as received:
            connection.settimeout(5)
            assert received.read().startswith(b"GET / HTTP/1.1\r\n")
    assert "timed out" in str(failure.value)
