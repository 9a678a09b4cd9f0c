from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from entrepot.storage.journal import Journal, boot_id

END = 100


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def _write(path: Path, boot: str, *, synced: bool) -> None:
    journal = Journal(path, boot, END)
    journal.add(0, 10)
    if synced:
        journal.synced()
    journal.add(20, 30)
    journal.close()


def _read(path: Path, boot: str, end: int = END) -> list[tuple[int, int]]:
    journal = Journal(path, boot, end)
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


@pytest.mark.parametrize(
    "tail",
    [
        b"40 5",
        b"40",
        b"nonsense here\n",
        b"\n\n",
        b"-1 4\n",
        b"40 50 60\n",
        b"50 40\n",
        b"9" * 5000 + b" 1\n",
    ],
)
def test_a_torn_or_garbled_tail_is_passed_over(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "j"
    _write(path, "boot", synced=False)
    path.write_bytes(path.read_bytes() + tail)
    assert _read(path, "boot") == [(0, 10), (20, 30)]


def test_writes_that_follow_one_another_are_believed_as_one_interval(tmp_path: Path) -> None:
    end = 40 << 30
    journal = Journal(tmp_path / "j", "boot", end)
    for offset in range(0, 100 << 20, 1 << 20):  # Two connections, by turns.
        journal.add(offset, offset + (1 << 20))
        journal.add(end - (200 << 20) + offset, end - (199 << 20) + offset)
    journal.synced()
    journal.add(100 << 20, 101 << 20)
    journal.close()
    assert _read(tmp_path / "j", "another", end) == [
        (0, 100 << 20),
        (end - (200 << 20), end - (100 << 20)),
    ]


def test_intervals_that_end_where_another_does_take_nothing_from_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", "boot", END)
    for interval in ((0, 10), (5, 10), (20, 30), (0, 10)):
        journal.add(*interval)
    journal.close()
    assert sorted(_read(tmp_path / "j", "boot")) == [(0, 10), (20, 30)]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\0" * 100])
def test_a_file_that_is_no_journal_tells_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j").write_bytes(content)
    assert _read(tmp_path / "j", "boot") == []


def test_what_was_believed_once_is_written_down_again(tmp_path: Path) -> None:
    _write(tmp_path / "j", "one boot", synced=True)
    _read(tmp_path / "j", "another")
    assert _read(tmp_path / "j", "another") == [(0, 10)]


def test_what_lies_beyond_the_end_of_the_part_is_forgotten_for_good(tmp_path: Path) -> None:
    _write(tmp_path / "j", "boot", synced=False)
    assert _read(tmp_path / "j", "boot", end=10) == [(0, 10)]
    assert _read(tmp_path / "j", "boot", end=END) == [(0, 10)]


@pytest.mark.parametrize("boot", ["one boot", "another"])
def test_taking_it_over_loses_nothing_to_a_power_cut(tmp_path: Path, boot: str) -> None:
    _write(tmp_path / "j", "one boot", synced=True)
    _read(tmp_path / "j", boot)
    assert _read(tmp_path / "j", "a third") == [(0, 10)]


def test_a_journal_is_kept_until_its_successor_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "j", "boot", synced=False)
    descriptors = _names(Path("/proc/self/fd"))
    with monkeypatch.context() as disk:
        disk.setattr(os, "write", _no_room)
        with pytest.raises(OSError, match="No space"):
            Journal(tmp_path / "j", "boot", END)
    assert _names(Path("/proc/self/fd")) == descriptors
    assert _names(tmp_path) == ["j"]
    assert _read(tmp_path / "j", "boot") == [(0, 10), (20, 30)]


def test_a_line_that_is_written_in_parts_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:2]))
    _write(tmp_path / "j", "boot", synced=False)
    assert _read(tmp_path / "j", "boot") == [(0, 10), (20, 30)]


def test_the_boot_has_a_name() -> None:
    assert boot_id() == boot_id() != ""


def test_where_the_kernel_names_no_boot_every_process_is_one(tmp_path: Path) -> None:
    assert boot_id(tmp_path / "absent") != boot_id(tmp_path / "absent")


def _no_room(_fd: int, _data: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")
