from __future__ import annotations

from typing import Any

import pytest

from entrepot.http.server.requests import KnownHeads, Request


def request_with(*headers: tuple[bytes, bytes]) -> Request:
    fields: dict[str, Any] = {"headers": list(headers)}
    return Request(fields, keep_alive=True)


def test_a_head_is_known_again() -> None:
    known, request = KnownHeads(), request_with((b"host", b"cache"))
    known.remember(b"GET", request)
    assert known.find(b"GET") is request
    assert known.find(b"HEAD") is None


@pytest.mark.parametrize(
    ("head", "request_"),
    [
        (b"x" * 2049, request_with()),
        (b"x", request_with((b"authorization", b"Basic c2VjcmV0"))),
    ],
    ids=["long", "with a credential"],
)
def test_some_heads_are_not_kept(head: bytes, request_: Request) -> None:
    known = KnownHeads()
    known.remember(head, request_)
    assert known.find(head) is None


def test_the_memory_is_bounded() -> None:
    known = KnownHeads()
    heads = [b"%d" % number for number in range(3000)]
    for head in heads:
        known.remember(head, request_with())
    assert 0 < sum(known.find(head) is not None for head in heads) <= 1024


def test_a_head_that_is_known_stays_as_it_is() -> None:
    known, request = KnownHeads(), request_with()
    known.remember(b"GET", request)
    for number in range(1023):
        known.remember(b"%d" % number, request_with())
    known.remember(b"GET", request_with())
    assert known.find(b"GET") is request
    assert known.find(b"0") is not None
