from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from entrepot.errors import StoreFailed
from entrepot.storage.lock import FolderLock, holder_of


def test_a_folder_has_one_holder_and_tells_who(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(StoreFailed, match=f"in use by process {os.getpid()}"):
        FolderLock(tmp_path)
    lock.release()


def test_a_released_folder_can_be_taken(tmp_path: Path) -> None:
    FolderLock(tmp_path).release()
    FolderLock(tmp_path).release()


def test_a_folder_that_cannot_be_locked_is_not_said_to_be_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_fd: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(StoreFailed, match=f"cannot be locked: {os.strerror(errno.ENOLCK)}"):
        FolderLock(tmp_path)


def test_a_folder_that_another_user_has_served_tells_whom_to_give_it_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_arguments: object) -> int:  # As it is for others than root.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreFailed, match=f"Permission denied: give .* chown -R USER {tmp_path}"):
        FolderLock(tmp_path)


def test_who_holds_a_folder_is_told_without_touching_it(tmp_path: Path) -> None:
    assert holder_of(tmp_path / "absent") is None
    assert holder_of(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    lock = FolderLock(tmp_path)
    assert holder_of(tmp_path) == str(os.getpid())
    lock.release()
    assert holder_of(tmp_path) is None
