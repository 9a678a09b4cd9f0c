from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import msgspec
import pytest

from entrepot.audit.folder import audit_files
from entrepot.audit.lines import as_json, as_text, read_line
from entrepot.audit.trail import AuditTrail
from entrepot.config.schema import AuditSettings, WebhookSettings
from entrepot.config.secret import Secret
from entrepot.config.units import Bytes, Seconds
from entrepot.ports.audit import ActionEntry, AuditQuery, RequestEntry
from entrepot.telemetry.lines import LineWriter
from entrepot.telemetry.log import Style
from entrepot.telemetry.metrics import Metrics
from entrepot.testing.collector import Collector
from entrepot.testing.programs import children
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.testing.waiting import PATIENCE, wait_until

KEPT = AuditSettings()


def _trail(
    data: Path,
    settings: AuditSettings = KEPT,
    log: LineWriter | None = None,
    style: Style = "json",
) -> AuditTrail:
    return AuditTrail(settings, data, VirtualClock().now, Metrics(), log=log, style=style)


async def test_what_was_recorded_is_found_when_it_was_closed(
    tmp_path: Path, request_entry: RequestEntry, action_entry: ActionEntry
) -> None:
    trail = _trail(tmp_path)
    trail.record(request_entry)
    trail.record(action_entry)
    trail.close()
    page = await trail.query(AuditQuery(), 10)
    assert page.entries == [action_entry, request_entry]
    assert audit_files(tmp_path / "audit") != []


def test_files_lie_in_the_folder_that_is_configured(tmp_path: Path, request_entry: RequestEntry) -> None:
    trail = _trail(tmp_path, AuditSettings(folder=str(tmp_path / "elsewhere")))
    trail.record(request_entry)
    trail.close()
    assert len(audit_files(tmp_path / "elsewhere")) == 1


def test_no_file_gets_larger_than_is_configured_however_much_is_written_at_once(
    tmp_path: Path, request_entry: RequestEntry
) -> None:
    trail = _trail(tmp_path, AuditSettings(file_size=Bytes(1000)))
    for _ in range(50):
        trail.record(request_entry)
    trail.close()
    sizes = [path.stat().st_size for path in audit_files(tmp_path / "audit")]
    assert sum(sizes) == 50 * len(as_json(request_entry))
    assert max(sizes) <= 1000


@pytest.mark.parametrize("style", ["json", "console"])
def test_the_log_gets_every_entry_in_its_style(
    tmp_path: Path, request_entry: RequestEntry, style: Style
) -> None:
    stream = BytesIO()
    log = LineWriter(stream.write, "log")
    trail = _trail(tmp_path, AuditSettings(enabled=False), log=log, style=style)
    trail.record(request_entry)
    trail.close()
    log.close()
    assert stream.getvalue() == (as_json if style == "json" else as_text)(request_entry)
    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize("style", ["json", "console"])
async def test_what_is_alike_is_recorded_as_the_rest_is(
    tmp_path: Path, request_entry: RequestEntry, style: Style
) -> None:
    stream = BytesIO()
    log = LineWriter(stream.write, "log")
    trail = _trail(tmp_path, log=log, style=style)
    trail.alike(request_entry).record(3.5, "10.0.0.9", [0.001, 2.25])
    trail.close()
    log.close()
    time = datetime.fromtimestamp(3.5, UTC)
    entries = [
        msgspec.structs.replace(request_entry, time=time, remote="10.0.0.9", duration_seconds=seconds)
        for seconds in (0.001, 2.25)
    ]
    assert (await trail.query(AuditQuery(), 10)).entries == entries[::-1]
    if style == "console":
        assert stream.getvalue() == b"".join(map(as_text, entries))
    else:
        assert list(map(read_line, stream.getvalue().splitlines())) == entries


def test_an_entry_of_which_nothing_becomes_is_not_wanted(tmp_path: Path) -> None:
    silent = _trail(tmp_path, AuditSettings(enabled=False))
    assert not silent.is_wanted
    kept = _trail(tmp_path)
    assert kept.is_wanted
    kept.close()


async def test_what_is_too_old_goes_when_it_is_time(tmp_path: Path, request_entry: RequestEntry) -> None:
    old = tmp_path / "audit/audit-20010102T030405.250000Z.jsonl"
    old.parent.mkdir()
    old.write_bytes(as_json(request_entry))
    os.utime(old, (0, 0))
    trail = _trail(tmp_path, AuditSettings(file_age=Seconds(1), keep_for=Seconds(1)))
    await trail.tidy()
    trail.close()
    assert [path.read_bytes() for path in audit_files(tmp_path / "audit")] == [b""]


def test_collectors_get_what_was_recorded_by_a_process_of_its_own_that_ends_with_the_trail(
    tmp_path: Path, request_entry: RequestEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('not what was installed')")
    monkeypatch.chdir(tmp_path)
    before = children(os.getpid())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog, Collector.in_thread() as receiver:
        syslog.settimeout(PATIENCE)
        syslog.bind(str(tmp_path / "log"))
        webhook = WebhookSettings(url=receiver.url, token=Secret("s3cret"))
        trail = _trail(tmp_path, AuditSettings(syslog=f"unix://{tmp_path}/log", webhook=webhook))
        trail.record(request_entry)
        message = syslog.recv(1 << 16)
        assert message.endswith(b" entrepot %d request - %s" % (os.getpid(), as_json(request_entry).rstrip()))
        wait_until(lambda: len(receiver.posted) == 1, "the batch")
        assert receiver.posted[0].headers["authorization"] == "Bearer s3cret"
        (pid,) = children(os.getpid()) - before
        assert "s3cret" not in Path(f"/proc/{pid}/cmdline").read_text()
        assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, os.getpid())
        assert os.getpgid(pid) == pid  # So that no key that is pressed in a terminal is for it.
        trail.close()
    assert children(os.getpid()) <= before
