"""The process that forwards: a real one, to a socket that is really there or not."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from entrepot.audit import forwarder_process
from entrepot.audit.forwarder_process import ForwarderProcess
from entrepot.audit.messages import Order, Webhook
from entrepot.telemetry.lines import write_whole
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.ports import free_port
from entrepot.testing.programs import children, run
from entrepot.testing.waiting import PATIENCE, wait_until

FILE = "audit-20260102T030405.250000Z.jsonl"


def _line(number: int) -> bytes:
    return b'{"event":"request","time":"2026-01-02T03:04:05.678000Z","user_agent":"%d"}' % number


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder_process, "_FIRST_PAUSE", 0.01)


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as collector:
        collector.settimeout(PATIENCE)
        collector.bind(str(tmp_path / "log"))
        yield collector


@pytest.fixture
def order(tmp_path: Path) -> Order:
    return Order(str(tmp_path), 42, syslog=f"unix://{tmp_path}/log")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def begin(metrics: Metrics) -> Iterator[Callable[[Order], ForwarderProcess]]:
    begun: list[ForwarderProcess] = []

    def begin(order: Order) -> ForwarderProcess:
        begun.append(ForwarderProcess(order, metrics))
        return begun[-1]

    yield begin
    for process in begun:
        process.close()


def _append(folder: Path, number: int) -> None:
    with (folder / FILE).open("ab") as file:
        file.write(_line(number) + b"\n")


def _told(collector: socket.socket) -> bytes:
    message = collector.recv(1 << 16)
    return message[message.index(b"{") :]


def _count(metrics: Metrics, name: str) -> float:
    head = f'entrepot_audit_{name}_total{{target="syslog"}} '
    return next(
        float(line.removeprefix(head))
        for line in metrics.render().decode().splitlines()
        if line.startswith(head)
    )


def _the_one_begun_after(before: set[int]) -> int:
    begun: set[int] = set()

    def is_there() -> bool:
        begun.update(children(os.getpid()) - before)
        return bool(begun)

    wait_until(is_there, "the process")
    (pid,) = begun
    return pid


def test_lines_are_sent_and_counted(
    begin: Callable[[Order], ForwarderProcess],
    order: Order,
    tmp_path: Path,
    collector: socket.socket,
    metrics: Metrics,
) -> None:
    _append(tmp_path, 0)
    begin(order)
    assert _told(collector) == _line(0)
    _append(tmp_path, 1)
    assert _told(collector) == _line(1)
    wait_until(lambda: _count(metrics, "forwarded_lines") == 2, "the count")


def test_what_may_have_to_be_counted_is_shown_from_the_start(
    begin: Callable[[Order], ForwarderProcess], metrics: Metrics, tmp_path: Path
) -> None:
    begin(Order(str(tmp_path), 42, webhook=Webhook(f"http://127.0.0.1:{free_port()}")))
    shown = metrics.render().decode()
    for name in ("forwarded_lines", "forward_failures", "forward_gaps"):
        assert f'entrepot_audit_{name}_total{{target="webhook"}} 0.0' in shown
    assert "syslog" not in shown


def test_the_log_tells_once_that_a_target_is_away_and_once_that_it_is_back(
    begin: Callable[[Order], ForwarderProcess], order: Order, tmp_path: Path, metrics: Metrics
) -> None:
    _append(tmp_path, 0)
    with capture_logs() as told:
        begin(order)
        wait_until(lambda: bool(told), "the complaint")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as collector:
            collector.settimeout(PATIENCE)
            collector.bind(str(tmp_path / "log"))
            assert _told(collector) == _line(0)
            wait_until(lambda: len(told) > 1, "the news")
    assert [line["event"] for line in told] == ["audit_not_forwarded", "audit_forwarded_again"]
    assert told[0]["reason"] == "No such file or directory"
    assert _count(metrics, "forward_failures") >= 1


def test_what_the_files_no_longer_keep_is_counted(
    begin: Callable[[Order], ForwarderProcess],
    order: Order,
    tmp_path: Path,
    collector: socket.socket,
    metrics: Metrics,
) -> None:
    (tmp_path / "syslog.sent").write_text("audit-20250102T030405.250000Z.jsonl:7\n")
    _append(tmp_path, 0)
    with capture_logs() as told:
        begin(order)
        assert _told(collector) == _line(0)
        wait_until(lambda: _count(metrics, "forward_gaps") == 1, "the count")
    assert [line["event"] for line in told] == ["audit_lost_to_target"]


def test_another_goes_on_where_one_was_killed(
    begin: Callable[[Order], ForwarderProcess], order: Order, tmp_path: Path, collector: socket.socket
) -> None:
    before = children(os.getpid())
    _append(tmp_path, 0)
    with capture_logs() as told:
        begin(order)
        assert _told(collector) == _line(0)
        wait_until((tmp_path / "syslog.sent").exists, "its place")
        os.kill(_the_one_begun_after(before), signal.SIGKILL)
        wait_until(lambda: bool(told), "the complaint")
        _append(tmp_path, 1)
        assert _told(collector) == _line(1)
    assert [(line["event"], line["status"]) for line in told] == [("audit_forwarder_ended", -signal.SIGKILL)]


def test_signals_to_all_of_a_service_do_not_end_it_from_the_first_moment_on(
    begin: Callable[[Order], ForwarderProcess], order: Order, tmp_path: Path, collector: socket.socket
) -> None:
    before = children(os.getpid())
    with capture_logs() as told:
        begin(order)
        for number in range(2):
            for to_all in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                os.kill(_the_one_begun_after(before), to_all)
            _append(tmp_path, number)
            assert _told(collector) == _line(number)
    assert told == []


def test_an_end_that_nobody_foresaw_is_told_and_tried_again(
    begin: Callable[[Order], ForwarderProcess], capfd: pytest.CaptureFixture[str]
) -> None:
    with capture_logs() as told:
        begin(Order("a folder that \0 cannot be", 42, syslog="udp://127.0.0.1:1"))
        wait_until(lambda: len(told) > 3, "the complaints")
    assert [line["event"] for line in told[:4]] == ["audit_forwarder_failed", "audit_forwarder_ended"] * 2
    assert told[0]["target"] == "syslog"
    assert told[0]["exception"].endswith("ValueError: embedded null byte\n")
    assert told[1]["status"] == 70
    assert capfd.readouterr().err == ""  # Where the log is read, each line is one of JSON.


def _saying(*lines: str) -> list[str]:
    return [sys.executable, "-c", "import sys; print(*sys.argv[1:], sep=chr(10))", *lines]


def test_what_is_no_report_is_passed_over(
    begin: Callable[[Order], ForwarderProcess],
    order: Order,
    monkeypatch: pytest.MonkeyPatch,
    metrics: Metrics,
) -> None:
    report = '{"target":"syslog","sent":1}'
    monkeypatch.setattr(forwarder_process, "_COMMAND", _saying(report[:9], "\ufffd", "[]", report))
    with capture_logs():
        begin(order)
        wait_until(lambda: _count(metrics, "forwarded_lines") >= 2, "reports of two processes")


def _pauses(told: list[MutableMapping[str, Any]]) -> list[float]:
    wait_until(lambda: len(told) > 2, "the ends")
    return [line["retry_after"] for line in told[:3]]


def test_one_that_ends_soon_is_begun_less_and_less_often_though_it_did_something(
    begin: Callable[[Order], ForwarderProcess], order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder_process, "_COMMAND", _saying('{"target":"syslog","sent":1}'))
    with capture_logs() as told:
        begin(order)
        assert _pauses(told) == [0.01, 0.02, 0.04]


def test_one_that_did_not_end_soon_is_begun_again_at_once(
    begin: Callable[[Order], ForwarderProcess], order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder_process, "_COMMAND", _saying())
    monkeypatch.setattr(forwarder_process, "_LONGEST_PAUSE", 0.0)
    with capture_logs() as told:
        begin(order)
        assert _pauses(told) == [0.01] * 3


def test_one_that_cannot_be_started_is_told_and_tried_again(
    begin: Callable[[Order], ForwarderProcess], order: Order, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(forwarder_process, "_COMMAND", [str(tmp_path / "none")])
    with capture_logs() as told:
        begin(order)
        wait_until(lambda: len(told) > 1, "the complaints")
    assert told[0]["event"] == "audit_forwarder_not_started"
    assert told[0]["reason"] == "No such file or directory"


def test_a_close_lets_it_end_by_itself_and_hears_its_last_report(
    begin: Callable[[Order], ForwarderProcess],
    order: Order,
    monkeypatch: pytest.MonkeyPatch,
    metrics: Metrics,
) -> None:
    report = '{"target":"syslog","sent":7}'
    until_the_end = f"import sys; sys.stdin.read(); print({report!r})"
    monkeypatch.setattr(forwarder_process, "_COMMAND", [sys.executable, "-c", until_the_end])
    monkeypatch.setattr(forwarder_process, "_LONGEST_CLOSE", PATIENCE / 4)
    before = children(os.getpid())
    process = begin(order)
    _the_one_begun_after(before)
    with capture_logs() as told:
        process.close()
    assert _count(metrics, "forwarded_lines") == 7
    assert told == []


def test_one_that_hangs_does_not_outlive_the_close(
    begin: Callable[[Order], ForwarderProcess], order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarder_process, "_COMMAND", [sys.executable, "-c", "import time; time.sleep(999)"])
    monkeypatch.setattr(forwarder_process, "_LONGEST_CLOSE", 0.0)
    before = children(os.getpid())
    process = begin(order)
    _the_one_begun_after(before)
    process.close()
    wait_until(lambda: children(os.getpid()) <= before, "its end")


def test_nothing_is_written_to_what_a_close_closes_meanwhile(
    order: Order, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, interrupted = Future[ForwarderProcess](), list[bool]()

    def write(descriptor: int, content: bytes) -> None:
        process = begun.result(PATIENCE)
        closing.start()
        interrupted.append(process._closing.wait(0.05))
        write_whole(descriptor, content)

    closing = threading.Thread(target=lambda: begun.result().close())
    monkeypatch.setattr(forwarder_process, "write_whole", write)
    begun.set_result(ForwarderProcess(order, metrics))
    wait_until(lambda: bool(interrupted), "the order")
    closing.join(PATIENCE)
    assert interrupted == [False]


def test_it_imports_little() -> None:
    """What it imports is what it takes of memory beside the cache: at most 90 MB are both to take together."""
    counted = "import sys, entrepot.audit.forwarder_main; print(len(sys.modules), *sys.modules)"
    number, *modules = run(sys.executable, "-P", "-c", counted).split()
    assert int(number) < 200
    assert not {"asyncio", "structlog", "prometheus_client", "entrepot.config.schema"} & set(modules)
