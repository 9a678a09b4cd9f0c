from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import pytest

from entrepot.telemetry.post import Poster

DONE = b"HTTP/1.1 204 No Content\r\n\r\n"
CLOSES = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
ENDS = b""


class Receiver:
    """Gives each connection the answers that are planned for it; ``bodies`` is what each was posted."""

    def __init__(self, plan: Sequence[Sequence[bytes]]) -> None:
        self.bodies: list[list[bytes]] = []
        self._plan = plan
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    @classmethod
    @contextmanager
    def answering(cls, *plan: Sequence[bytes]) -> Iterator[Receiver]:
        receiver = cls(plan)
        thread = threading.Thread(target=receiver._serve)
        thread.start()
        try:
            yield receiver
        finally:
            thread.join(10)
            receiver._listening.close()

    def _serve(self) -> None:
        for answers in self._plan:
            connection, _ = self._listening.accept()
            self.bodies.append([])
            with connection, connection.makefile("rb") as file:
                for answer in answers:
                    self.bodies[-1].append(_body(file))
                    connection.sendall(answer)


def _body(file: BinaryIO) -> bytes:
    size = 0
    while (line := file.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            size = int(line.split(b":")[1])
    return file.read(size)


def _post(url: str, *bodies: bytes) -> None:
    poster = Poster(url, {})
    for body in bodies:
        poster.post(body)
    poster.close()


def test_a_connection_is_kept_for_the_next_body() -> None:
    with Receiver.answering([DONE] * 3) as receiver:
        _post(receiver.url, b"1", b"2", b"3")
    assert receiver.bodies == [[b"1", b"2", b"3"]]


def test_a_connection_that_ended_meanwhile_is_made_anew() -> None:
    with Receiver.answering([DONE, ENDS], [DONE]) as receiver:
        _post(receiver.url, b"1", b"2")
    assert receiver.bodies == [[b"1", b"2"], [b"2"]]


@pytest.mark.parametrize("answer", [CLOSES, LONG])
def test_a_connection_that_is_of_no_more_use_is_not_kept(answer: bytes) -> None:
    with Receiver.answering([answer], [DONE]) as receiver:
        _post(receiver.url, b"1", b"2")
    assert receiver.bodies == [[b"1"], [b"2"]]


def test_a_new_connection_that_ends_is_a_failure() -> None:
    with Receiver.answering([ENDS]) as receiver, pytest.raises(ConnectionError):
        _post(receiver.url, b"1")
    assert receiver.bodies == [[b"1"]]
