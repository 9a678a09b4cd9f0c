from __future__ import annotations

import os
from pathlib import Path

import pytest

from entrepot.storage.system import make_folder, remove_file, write_all


def test_what_the_system_takes_in_parts_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, pwrite = os.write, os.pwrite
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    with monkeypatch.context() as disk:
        disk.setattr(os, "write", lambda fd, content: write(fd, content[:2]))
        disk.setattr(os, "pwrite", lambda fd, content, offset: pwrite(fd, content[:2], offset))
        write_all(os, fd, b"begin")
        write_all(os, fd, b"middle", 10)
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == b"begin\0\0\0\0\0middle"


def test_a_folder_is_made_with_all_it_lies_in(tmp_path: Path) -> None:
    make_folder(os, tmp_path / "a" / "b")
    make_folder(os, tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(FileExistsError):
        make_folder(os, tmp_path / "a")


def test_a_file_that_is_gone_need_not_be_removed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for _ in range(2):
        remove_file(os, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
