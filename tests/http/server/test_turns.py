"""Large files of which some bytes are in memory and others are not."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from tests.http.server.conftest import Harbour, file_of, serving, settle

from entrepot.http.server import Receive, Scope, Send
from entrepot.http.server.outlet import Outlet
from entrepot.http.server.turns import Turns
from entrepot.testing.waiting import PATIENCE


def _say_what_is_in_memory(monkeypatch: pytest.MonkeyPatch, claim: Callable[[int, int], bool]) -> None:
    def is_in_memory(file: int, offset: int, *, unknown: bool) -> bool:
        del unknown
        return claim(file, offset)

    monkeypatch.setattr("entrepot.http.server.turns.is_in_memory", is_in_memory)


async def test_whoever_needs_no_disk_does_not_wait_for_one_that_hangs(
    harbour: Harbour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, content = file_of(tmp_path, bytes(1 << 20)), random.Random(4).randbytes(1 << 20)
    (ready := tmp_path / "ready").write_bytes(content)
    reached, gate = threading.Event(), threading.Event()
    real_sendfile = os.sendfile

    def sendfile(out: int, file: int, offset: int, count: int) -> int:
        if os.path.sameopenfile(file, disk):
            reached.set()
            assert gate.wait(PATIENCE)
        return real_sendfile(out, file, offset, count)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await serving(hanging if scope["path"] == "/hanging" else ready)(scope, receive, send)

    monkeypatch.setattr("os.sendfile", sendfile)
    _say_what_is_in_memory(monkeypatch, lambda file, _: not os.path.sameopenfile(file, disk))
    await harbour.serve(app, file_threads=1)
    stuck = await harbour.connect()
    with hanging.open("rb") as opened:
        disk = opened.fileno()
        await stuck.say(b"GET /hanging HTTP/1.1\r\nHost: cache\r\n\r\n")
        await settle(reached.is_set)
        assert (await (await harbour.connect()).get("/ready")).body == content
        gate.set()
        assert (await stuck.answer()).body == bytes(1 << 20)


class _Outlet:
    gone = False


@pytest.fixture
def turns(tmp_path: Path) -> Iterator[tuple[Turns, int, int]]:
    """Turns, a socket with room, and a file that is in memory."""
    turns = Turns()
    here, there = socket.socketpair()
    with here, there, file_of(tmp_path, bytes(1 << 20)).open("rb") as file:
        yield turns, here.fileno(), file.fileno()
        turns.close()


def test_a_socket_that_takes_nothing_is_let_go_though_it_seems_to_have_room(
    turns: tuple[Turns, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("entrepot.http.server.turns.send_some", lambda *_: 0)
    _say_what_is_in_memory(monkeypatch, lambda *_: True)
    sender, socket, file = turns
    assert sender.take(cast("Outlet", _Outlet()), socket, file, 0, 1 << 20).result(PATIENCE) == 0


def test_what_cannot_be_watched_is_refused_and_others_are_served(
    turns: tuple[Turns, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _say_what_is_in_memory(monkeypatch, lambda *_: True)
    sender, socket, file = turns
    with pytest.raises(OSError, match="not permitted"):
        sender.take(cast("Outlet", _Outlet()), file, file, 0, 1000)  # A file is nothing that epoll watches.
    assert sender.take(cast("Outlet", _Outlet()), socket, file, 0, 1000).result(PATIENCE) == 1000


async def test_what_is_in_memory_in_part_arrives_whole(
    harbour: Harbour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = random.Random(5).randbytes(20 << 20)
    _say_what_is_in_memory(monkeypatch, lambda _, offset: not 3_000_000 < offset < 9_000_000)
    server = await harbour.serve(serving(file_of(tmp_path, content)))
    assert (await (await harbour.connect()).get()).body == content
    files = server._shared.files
    assert files._turns._thread._threads
    assert files._pool._threads
