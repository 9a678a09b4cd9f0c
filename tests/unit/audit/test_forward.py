from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from entrepot.audit import forward
from entrepot.audit.files import AuditFiles, Keeping
from entrepot.audit.folder import audit_files
from entrepot.audit.forward import Batch, Forwarder
from entrepot.audit.messages import Report
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE, wait_until


class Collector:
    """Takes lines unless it is down, or has taken as many as it hangs behind; ``lines`` are those taken."""

    def __init__(self, hangs_behind: int | None = None) -> None:
        self.hangs_behind = hangs_behind
        self.lines: list[bytes] = []
        self.refused = 0
        self.is_down = False
        self.reason = "nobody listens"
        self.hangs = threading.Event()
        self.hangs.set()

    def send(self, batch: Batch) -> None:
        if len(self.lines) == self.hangs_behind:
            self.hangs.clear()
        assert self.hangs.wait(PATIENCE)
        if self.is_down:
            self.refused += 1
            raise ConnectionRefusedError(self.reason)
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
def reports() -> list[Report]:
    return []


@pytest.fixture
def begin(tmp_path: Path, collector: Collector, reports: list[Report]) -> Iterator[Callable[[], Forwarder]]:
    started: list[Forwarder] = []

    def begin() -> Forwarder:
        started.append(Forwarder("webhook", tmp_path, collector, reports.append))
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


def test_after_a_sudden_end_no_more_than_fifteen_batches_come_twice(
    files: AuditFiles,
    begin: Callable[[], Forwarder],
    collector: Collector,
    reports: list[Report],
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forward, "_BATCH_BYTES", 1)  # So that each line is one.
    collector.hangs_behind = 2 * 16 + 15
    lines = _append(files, range(50))
    begin()
    wait_until(lambda: not collector.hangs.is_set(), "the last moment before the end")
    assert reports == [Report("webhook", sent=16)] * 2
    assert collector.lines == lines[: 2 * 16 + 15]
    after = Collector()
    next_one = Forwarder("webhook", tmp_path, after, lambda _report: None)
    _got(after, lines[2 * 16 :])
    next_one.close()


def test_what_a_target_refuses_is_sent_when_it_is_back_and_each_attempt_is_reported(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], reports: list[Report]
) -> None:
    collector.is_down = True
    lines = _append(files, range(5))
    begin()
    wait_until(lambda: collector.refused > 3, "some attempts")
    collector.is_down = False
    _got(collector, lines)
    wait_until(lambda: sum(report.sent for report in reports) == len(lines), "the reports")
    failures = [report for report in reports if report.failure is not None]
    assert failures == [Report("webhook", failure="nobody listens")] * collector.refused


def _interrupted(files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder]) -> list[bytes]:
    """Have two lines sent by a forwarder that ends before four more come; return the two."""
    first = _append(files, range(2))
    forwarder = begin()
    _got(collector, first)
    forwarder.close()
    _append(files, range(2, 6))
    return first


def test_what_is_not_kept_any_longer_is_lost_and_reported(
    files: AuditFiles,
    collector: Collector,
    begin: Callable[[], Forwarder],
    tmp_path: Path,
    reports: list[Report],
) -> None:
    first = _interrupted(files, collector, begin)
    removed = audit_files(tmp_path)[:2]
    for path in removed:
        path.unlink()
    begin()
    _got(collector, [*first, b"line 4", b"line 5"])
    assert [report.lost_from for report in reports if not report.sent] == [removed[0].name]


@pytest.mark.parametrize("is_first_gone", [True, False])
def test_what_is_removed_when_it_was_about_to_be_read_is_one_loss_and_no_failure(
    files: AuditFiles,
    collector: Collector,
    begin: Callable[[], Forwarder],
    tmp_path: Path,
    reports: list[Report],
    *,
    monkeypatch: pytest.MonkeyPatch,
    is_first_gone: bool,
) -> None:
    first = _interrupted(files, collector, begin)
    sent, next_one, _ = audit_files(tmp_path)
    if is_first_gone:
        sent.unlink()

    def listed(folder: Path) -> list[Path]:
        found = audit_files(folder)
        next_one.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(forward, "audit_files", listed)
    begin()
    _got(collector, [*first, b"line 4", b"line 5"])
    lost = sent if is_first_gone else next_one
    assert [report for report in reports if not report.sent] == [Report("webhook", lost_from=lost.name)]


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


def test_a_line_that_is_longer_than_a_batch_holds_up_none_behind_it(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "_BATCH_BYTES", 16)
    long = b"line" * 10
    first = _append(files, range(2))
    files.append(long + b"\nline 2\n")
    begin()
    _got(collector, [*first, long, b"line 2"])


@pytest.mark.parametrize("damage", ["\x00", "\x00:5", "../secret:0", "{file}:-1", "{file}:x", "{file}", ""])
def test_a_position_that_cannot_be_read_sends_again_rather_than_too_little(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], tmp_path: Path, damage: str
) -> None:
    lines = _append(files, range(5))
    (tmp_path / "webhook.sent").write_text(damage.format(file=audit_files(tmp_path)[-1].name))
    begin()
    _got(collector, lines)


@pytest.mark.parametrize("size", [8, 14, 1 << 20])
def test_what_comes_where_a_power_cut_took_back_lines_is_sent_too(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], tmp_path: Path, size: int
) -> None:
    _append(files, range(1))
    (path,) = audit_files(tmp_path)
    (tmp_path / "webhook.sent").write_text(f"{path.name}:{size}")
    begin()
    path.write_bytes(path.read_bytes() + b"line 1\nline 2\n")
    _got(collector, [b"line 1", b"line 2"])


def test_what_is_left_at_the_end_is_sent_before_it(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "_LOOK_SECONDS", PATIENCE)
    lines = _append(files, range(5))
    begin().close()
    assert collector.lines == lines


def test_the_end_waits_for_no_more_than_can_be_sent_in_a_second(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "_LOOK_SECONDS", PATIENCE)
    monkeypatch.setattr(forward, "_LAST_SECONDS", 0.0)
    _append(files, range(5))
    begin().close()
    assert collector.lines == []


def test_a_target_that_is_away_is_not_tried_once_more_at_the_end(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "_LONGEST_PAUSE", PATIENCE)
    monkeypatch.setattr(forward, "_LOOK_SECONDS", 0.001)
    collector.is_down = True
    _append(files, range(5))
    forwarder = begin()
    wait_until(lambda: collector.refused > 9, "a pause of half a second")
    refused = collector.refused
    forwarder.close()
    assert collector.refused == refused


def test_a_reason_is_cut_short(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], reports: list[Report]
) -> None:
    collector.is_down, collector.reason = True, "no" * 1000
    _append(files, range(1))
    begin()
    wait_until(lambda: bool(reports), "the report")
    assert reports[0].failure == "no" * 150


def test_a_target_that_hangs_does_not_hold_up_the_end(
    files: AuditFiles, collector: Collector, begin: Callable[[], Forwarder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "_LONGEST_CLOSE", 0.0)
    collector.hangs.clear()
    _append(files, range(1))
    begin().close()
