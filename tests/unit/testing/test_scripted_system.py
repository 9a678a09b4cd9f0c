from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from entrepot.storage.system import write_all
from entrepot.testing.scripted_system import Halted, ScriptedSystem


def _create(system: ScriptedSystem, path: Path) -> int:
    return system.open(path, os.O_RDWR | os.O_CREAT)


def test_only_what_changes_something_is_counted(tmp_path: Path) -> None:
    system = ScriptedSystem()
    os.close(_create(system, tmp_path / "file"))
    os.close(system.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY))
    system.unlink(tmp_path / "file")
    assert system.calls == ["open", "unlink"]


def test_the_chosen_calls_fail_and_change_nothing(tmp_path: Path) -> None:
    system = ScriptedSystem()
    system.fail(errno.ENOSPC, at=2, times=2)
    fd = _create(system, tmp_path / "file")
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            system.write(fd, b"lost")
    system.write(fd, b"kept")
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_a_disk_may_fail_until_it_is_told_to_behave(tmp_path: Path) -> None:
    system = ScriptedSystem()
    system.fail(errno.EROFS, times=None)
    for _ in range(3):
        with pytest.raises(OSError, match="Read-only"):
            system.mkdir(tmp_path / "folder")
    system.behave()
    system.mkdir(tmp_path / "folder")


def test_after_it_has_halted_nothing_changes_any_more(tmp_path: Path) -> None:
    system, told = ScriptedSystem(), []
    fd = _create(system, tmp_path / "file")
    system.halt(at=2, then=lambda: told.append("halted"))
    system.write(fd, b"before")
    for _ in range(3):
        with pytest.raises(Halted):
            system.write(fd, b"after")
    with pytest.raises(Halted):
        system.step("transaction")
    os.close(fd)
    assert ((tmp_path / "file").read_bytes(), told) == (b"before", ["halted"])


def test_a_write_may_be_taken_in_parts_only(tmp_path: Path) -> None:
    system = ScriptedSystem()
    system.most_bytes = 2
    fd = _create(system, tmp_path / "file")
    write_all(system, fd, b"content")
    write_all(system, fd, b"more", 5)
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == b"contemore"
    assert system.calls == ["open"] + ["write"] * 4 + ["pwrite"] * 2


def test_whoever_watches_sees_what_is_there_before_every_change(tmp_path: Path) -> None:
    system, file, seen = ScriptedSystem(), tmp_path / "file", list[bool]()
    system.watch(lambda: seen.append(file.exists()))
    os.close(_create(system, file))
    system.unlink(file)
    assert seen == [False, True]
