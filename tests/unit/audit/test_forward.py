from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from entrepot.audit import forward
from entrepot.audit.files import AuditFiles, Keeping
from entrepot.audit.folder import audit_files
from entrepot.audit.forward import Batch, Forwarder
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE, wait_until


class Collector:
    """Takes lines unless it is down; ``lines`` is what it has taken."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.refused = 0
        self.is_down = False
        self.hangs = threading.Event()
        self.hangs.set()

    def send(self, batch: Batch) -> None:
        assert self.hangs.wait(PATIENCE)
        if self.is_down:
            self.refused += 1
            raise ConnectionRefusedError("nobody listens")
        self.lines += batch.content.splitlines()

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(forward, "_LONGEST_PAUSE", 0.001)


@pytest.fixture
def files(tmp_path: Path) -> AuditFiles:
    keeping = Keeping(file_size=20, file_seconds=1e9, size=1 << 20, seconds=1e9, files=100)
    return AuditFiles(tmp_path, keeping, VirtualClock().now)


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def begin(tmp_path: Path, collector: Collector, metrics: Metrics) -> Iterator[Callable[..., Forwarder]]:
    started: list[Forwarder] = []

    def begin(most_waiting: int = 0) -> Forwarder:
        started.append(Forwarder("webhook", tmp_path, collector, metrics, most_waiting=most_waiting))
        return started[-1]

    yield begin
    collector.hangs.set()
    for forwarder in started:
        forwarder.close()


def _append(files: AuditFiles, numbers: Sequence[int]) -> list[bytes]:
    for number in numbers:
        files.append(b"line %d\n" % number)
    return [b"line %d" % number for number in numbers]


def _got(collector: Collector, lines: Sequence[bytes]) -> None:
    wait_until(lambda: len(collector.lines) >= len(lines), "the lines")
    assert collector.lines == lines


def test_lines_are_sent_in_order_over_all_files(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder]
) -> None:
    before = _append(files, range(30))
    begin()
    _got(collector, before)
    _got(collector, before + _append(files, range(30, 40)))


def test_what_may_have_to_be_counted_is_shown_from_the_start(
    begin: Callable[[], Forwarder], metrics: Metrics
) -> None:
    begin()
    shown = metrics.render().decode()
    for name in ("forwarded_lines", "forward_failures", "forward_gaps"):
        assert f'entrepot_audit_{name}_total{{target="webhook"}} 0.0' in shown


def test_it_takes_its_time_until_much_waits(
    files: AuditFiles,
    collector: Collector,
    begin: Callable[..., Forwarder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forward, "_SHARE", 1e-12)  # Whoever takes his time by that will not be seen again.
    lines = _append(files, range(9))
    forwarder = begin(most_waiting=1 << 20)
    wait_until(lambda: bool(collector.lines), "the first")
    forwarder.close()
    assert len(collector.lines) < len(lines)
    begin(most_waiting=sum(map(len, lines)) // 2)
    _got(collector, lines)


def test_what_was_sent_waits_no_longer(
    files: AuditFiles, collector: Collector, begin: Callable[..., Forwarder]
) -> None:
    lines = _append(files, range(2))  # Both in one file.
    forwarder = begin()
    _got(collector, lines)
    wait_until(lambda: forwarder._waiting() == 0, "its account")


def test_a_restart_goes_on_where_it_was(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder]
) -> None:
    first = _append(files, range(5))
    forwarder = begin()
    _got(collector, first)
    forwarder.close()
    second = _append(files, range(5, 9))
    begin()
    _got(collector, first + second)


def test_what_a_target_refuses_is_sent_when_it_is_back_and_the_log_tells_of_both_once(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], metrics: Metrics
) -> None:
    collector.is_down = True
    lines = _append(files, range(5))
    with capture_logs() as told:
        begin()
        wait_until(lambda: collector.refused > 3, "some attempts")
        collector.is_down = False
        _got(collector, lines)
        wait_until(lambda: len(told) > 1, "the news")
    assert [line["event"] for line in told] == ["audit_not_forwarded", "audit_forwarded_again"]
    assert b'entrepot_audit_forwarded_lines_total{target="webhook"} 5.0' in metrics.render()
    assert b'entrepot_audit_forward_failures_total{target="webhook"}' in metrics.render()


def test_what_is_not_kept_any_longer_is_lost_and_counted(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], tmp_path: Path, metrics: Metrics
) -> None:
    first = _append(files, range(2))
    forwarder = begin()
    _got(collector, first)
    forwarder.close()
    _append(files, range(2, 6))
    for path in audit_files(tmp_path)[:2]:
        path.unlink()
    begin()
    _got(collector, [*first, b"line 4", b"line 5"])
    assert b'entrepot_audit_forward_gaps_total{target="webhook"} 1.0' in metrics.render()


def test_a_line_is_sent_when_all_of_it_is_there(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], tmp_path: Path
) -> None:
    first = _append(files, range(1))
    (path,) = audit_files(tmp_path)
    with path.open("ab") as file:
        file.write(b"li")
        file.flush()
        begin()
        _got(collector, first)
        file.write(b"ne 1\n")
    _got(collector, [*first, b"line 1"])


def test_a_position_that_cannot_be_read_sends_again_rather_than_too_little(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], tmp_path: Path
) -> None:
    lines = _append(files, range(5))
    (tmp_path / "webhook.sent").write_text("\x00")
    begin()
    _got(collector, lines)


def test_a_target_that_hangs_does_not_hold_up_the_end(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "_LONGEST_CLOSE", 0.0)
    collector.hangs.clear()
    _append(files, range(1))
    begin().close()
