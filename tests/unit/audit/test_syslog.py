from __future__ import annotations

import re
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec import structs

from entrepot.audit.forward import Batch, Place
from entrepot.audit.lines import as_json
from entrepot.audit.syslog import SyslogTarget
from entrepot.ports.audit import RequestEntry
from entrepot.testing.waiting import PATIENCE

HEAD = rb"<110>1 2026-01-02T03:04:05\.678000Z \S+ entrepot 42 request - "


@pytest.fixture
def line(request_entry: RequestEntry) -> bytes:
    return as_json(request_entry).rstrip()


def _batch(*lines: bytes) -> Batch:
    return Batch(Place("audit", 1), b"".join(line + b"\n" for line in lines))


def _content(message: bytes) -> bytes:
    match = re.match(HEAD, message)
    assert match is not None, message
    return message[match.end() :]


def test_each_line_is_a_datagram(line: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.settimeout(PATIENCE)
        collector.bind(("127.0.0.1", 0))
        target = SyslogTarget(f"udp://127.0.0.1:{collector.getsockname()[1]}", 42)
        target.send(_batch(line, line))
        assert [_content(collector.recv(1 << 16)) for _ in range(2)] == [line] * 2
        target.close()


def test_each_line_is_a_datagram_on_a_unix_socket(line: bytes, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as collector:
        collector.settimeout(PATIENCE)
        collector.bind(str(tmp_path / "log"))
        target = SyslogTarget(f"unix://{tmp_path}/log", 42)
        target.send(_batch(line))
        assert _content(collector.recv(1 << 16)) == line
        target.close()


def _received(connection: socket.socket) -> bytes:
    """Read one message, framed by its length (RFC 6587, 3.4.1)."""
    length = b""
    while not length.endswith(b" "):
        length += connection.recv(1)
    return connection.recv(int(length), socket.MSG_WAITALL)


def test_each_line_is_framed_by_its_length_in_a_stream(line: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as collector:
        target = SyslogTarget(f"tcp://127.0.0.1:{collector.getsockname()[1]}", 42)
        target.send(_batch(line, line))
        connection, _ = collector.accept()
        with connection:
            assert [_content(_received(connection)) for _ in range(2)] == [line] * 2
            target.send(_batch(line))
            assert _content(_received(connection)) == line
        target.close()


def test_a_connection_that_was_ended_is_made_anew(line: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as collector:
        target = SyslogTarget(f"tcp://127.0.0.1:{collector.getsockname()[1]}", 42)
        target.send(_batch(line))
        first, _ = collector.accept()
        _received(first)
        first.close()
        target.send(_batch(line))
        second, _ = collector.accept()
        with second:
            assert _content(_received(second)) == line
        target.close()


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_a_collector_that_does_not_listen_is_a_failure(scheme: str, line: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    target = SyslogTarget(f"{scheme}://127.0.0.1:{port}", 42)
    with pytest.raises(ConnectionRefusedError):
        target.send(_batch(line, line))  # Of a datagram, the system learns it from the answer to the first.


def test_a_unix_socket_that_is_not_there_is_a_failure(line: bytes, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SyslogTarget(f"unix://{tmp_path}/none", 42).send(_batch(line))


def test_lines_of_several_moments_are_framed_each_with_its_own(request_entry: RequestEntry) -> None:
    later = structs.replace(request_entry, time=request_entry.time + timedelta(seconds=1), user="\u732b")
    lines = [as_json(entry).rstrip() for entry in (request_entry, later, later, request_entry)]
    with socket.create_server(("127.0.0.1", 0)) as collector:
        target = SyslogTarget(f"tcp://127.0.0.1:{collector.getsockname()[1]}", 42)
        target.send(_batch(*lines[:2], b"torn", *lines[2:]))
        connection, _ = collector.accept()
        with connection:
            messages = [_received(connection) for _ in range(5)]
        target.close()
    assert [message.split(b" - ", 1)[1] for message in messages[:2] + messages[3:]] == lines
    assert messages[2].endswith(b" - - torn")
    times = [b"2026-01-02T03:04:0%d.678000Z" % second for second in (5, 6, 6, 5)]
    assert [message.split(b" ")[1] for message in messages] == [*times[:2], b"-", *times[2:]]


def test_a_line_that_was_torn_is_sent_as_it_is() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.settimeout(PATIENCE)
        collector.bind(("127.0.0.1", 0))
        target = SyslogTarget(f"udp://127.0.0.1:{collector.getsockname()[1]}", 42)
        target.send(_batch(b'{"event": "re'))
        assert re.fullmatch(rb'<110>1 - \S+ entrepot 42 - - \{"event": "re', collector.recv(1 << 16))
        target.close()
