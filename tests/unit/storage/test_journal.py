from __future__ import annotations

from pathlib import Path

import pytest

from entrepot.storage.journal import Journal, boot_id


def _write(path: Path, boot: str, *, synced: bool) -> None:
    journal = Journal(path, boot)
    journal.add(0, 10)
    if synced:
        journal.synced()
    journal.add(20, 30)
    journal.close()


def _read(path: Path, boot: str) -> list[tuple[int, int]]:
    journal = Journal(path, boot)
    journal.close()
    return journal.intervals


def test_the_death_of_the_process_loses_no_line(tmp_path: Path) -> None:
    _write(tmp_path / "j", "boot", synced=False)
    assert _read(tmp_path / "j", "boot") == [(0, 10), (20, 30)]


def test_after_a_power_loss_only_what_was_synced_is_believed(tmp_path: Path) -> None:
    _write(tmp_path / "j", "one boot", synced=True)
    assert _read(tmp_path / "j", "another") == [(0, 10)]


def test_after_a_power_loss_an_unsynced_journal_is_not_believed_at_all(tmp_path: Path) -> None:
    _write(tmp_path / "j", "one boot", synced=False)
    assert _read(tmp_path / "j", "another") == []


@pytest.mark.parametrize("tail", [b"40 5", b"40", b"nonsense here\n", b"\n\n", b"-1 4\n", b"40 50 60\n"])
def test_a_torn_or_garbled_tail_is_passed_over(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "j"
    _write(path, "boot", synced=False)
    path.write_bytes(path.read_bytes() + tail)
    assert _read(path, "boot") == [(0, 10), (20, 30)]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\0" * 100])
def test_a_file_that_is_no_journal_tells_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)
    assert _read(tmp_path / "j", "boot") == []


def test_what_was_believed_once_is_written_down_again(tmp_path: Path) -> None:
    _write(tmp_path / "j", "one boot", synced=True)
    _read(tmp_path / "j", "another")
    assert _read(tmp_path / "j", "another") == [(0, 10)]


def test_the_boot_has_a_name() -> None:
    assert boot_id() == boot_id() != ""
