from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from entrepot.audit import files as files_module
from entrepot.audit.files import AuditFiles, Keeping
from entrepot.audit.folder import audit_files
from entrepot.testing.virtual_clock import VirtualClock

KEEPING = Keeping(file_size=100, file_seconds=3600, size=1000, seconds=86400, files=50)
LINE = b"x" * 39 + b"\n"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def files(tmp_path: Path, clock: VirtualClock) -> AuditFiles:
    return AuditFiles(tmp_path / "audit", KEEPING, clock.now)


def _contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in audit_files(folder / "audit")]


def test_lines_are_there_when_append_returns(files: AuditFiles, tmp_path: Path) -> None:
    files.append(b"1\n2\n")
    files.append(b"3\n")
    assert _contents(tmp_path) == [b"1\n2\n3\n"]


def test_a_file_that_would_be_too_large_makes_way_for_the_next(files: AuditFiles, tmp_path: Path) -> None:
    for _ in range(5):
        files.append(LINE)
    assert _contents(tmp_path) == [LINE * 2, LINE * 2, LINE]


def test_a_file_that_is_old_makes_way_for_the_next(
    files: AuditFiles, clock: VirtualClock, tmp_path: Path
) -> None:
    files.append(b"1\n")
    clock.advance(3599)
    files.append(b"2\n")
    clock.advance(1)
    files.append(b"3\n")
    assert _contents(tmp_path) == [b"1\n2\n", b"3\n"]


def test_a_new_start_goes_on_with_the_newest_file(
    files: AuditFiles, clock: VirtualClock, tmp_path: Path
) -> None:
    files.append(b"1\n")
    files.close()
    AuditFiles(tmp_path / "audit", KEEPING, clock.now).append(b"2\n")
    assert _contents(tmp_path) == [b"1\n2\n"]


def test_a_line_that_was_torn_harms_no_other(files: AuditFiles, clock: VirtualClock, tmp_path: Path) -> None:
    files.append(b"1\n")
    files.close()
    (path,) = audit_files(tmp_path / "audit")
    path.write_bytes(b"1\nto")
    AuditFiles(tmp_path / "audit", KEEPING, clock.now).append(b"2\n")
    assert _contents(tmp_path) == [b"1\nto\n2\n"]


def test_the_oldest_make_room_for_the_newest_to_grow(tmp_path: Path, clock: VirtualClock) -> None:
    keeping = replace(KEEPING, size=300)
    files = AuditFiles(tmp_path / "audit", keeping, clock.now)
    for number in range(20):
        files.append(b"%039d\n" % number)
        assert sum(map(len, _contents(tmp_path))) <= 300
    assert _contents(tmp_path)[0].startswith(b"%039d\n" % 14)


def test_no_more_files_are_kept_than_wanted(tmp_path: Path, clock: VirtualClock) -> None:
    files = AuditFiles(tmp_path / "audit", replace(KEEPING, files=3), clock.now)
    for _ in range(20):
        files.append(LINE)
    assert len(_contents(tmp_path)) == 3


def test_what_is_too_old_goes_though_nothing_is_written(
    files: AuditFiles, clock: VirtualClock, tmp_path: Path
) -> None:
    files.append(b"1\n")
    (path,) = audit_files(tmp_path / "audit")
    os.utime(path, (clock.now(), clock.now()))
    clock.advance(86401)
    files.append(b"")
    assert _contents(tmp_path) == [b""]


def test_a_folder_that_was_taken_away_is_made_again(files: AuditFiles, tmp_path: Path) -> None:
    files.append(b"1\n")
    shutil.rmtree(tmp_path / "audit")
    files.append(b"2\n")
    assert _contents(tmp_path) == [b"2\n"]


def test_a_file_that_was_replaced_is_not_written_to_unseen(files: AuditFiles, tmp_path: Path) -> None:
    files.append(b"1\n")
    (path,) = audit_files(tmp_path / "audit")
    path.rename(tmp_path / "moved")
    path.write_bytes(b"0\n")
    files.append(b"2\n")
    assert _contents(tmp_path) == [b"0\n2\n"]


def test_the_log_tells_once_that_nothing_can_be_written_and_once_that_it_can(
    files: AuditFiles, tmp_path: Path
) -> None:
    (tmp_path / "audit").write_bytes(b"in the way")
    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(OSError, match="exists"):
                files.append(b"1\n")
        (tmp_path / "audit").unlink()
        files.append(b"2\n")
        files.append(b"3\n")
    assert [line["event"] for line in lines] == ["audit_not_written", "audit_written_again"]
    assert _contents(tmp_path) == [b"2\n3\n"]


def test_a_full_disk_leaves_no_torn_line(
    files: AuditFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(descriptor: int, content: bytes) -> None:
        os.write(descriptor, content[:3])
        raise OSError(28, "No space left on device")

    files.append(b"1\n")
    with monkeypatch.context() as patch:
        patch.setattr(files_module, "write_whole", fill_up)
        with pytest.raises(OSError, match="No space"):
            files.append(b"2222\n")
    files.append(b"3\n")
    assert _contents(tmp_path) == [b"1\n3\n"]
