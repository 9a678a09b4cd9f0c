from __future__ import annotations

import socket
import sys

from entrepot.testing.ports import free_port
from entrepot.testing.programs import run

ASK = "from entrepot.testing.ports import free_port; print(*{free_port() for _ in range(100)})"


def test_a_free_port_can_be_listened_on() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_a_port_that_is_listened_on_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        ports = {free_port() for _ in range(200)}
        assert listener.getsockname()[1] not in ports


def test_what_one_process_was_given_no_other_is_given() -> None:
    own = {free_port() for _ in range(100)}
    others = set(map(int, run(sys.executable, "-c", ASK).split()))
    assert len(others) > 0
    assert not own & others
