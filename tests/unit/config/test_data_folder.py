from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from entrepot.config.data_folder import find_data_folder, prepare_data_folder
from entrepot.errors import SettingsInvalid


def test_the_configured_folder_is_made(tmp_path: Path) -> None:
    folder = prepare_data_folder(str(tmp_path / "a" / "b"), tmp_path / "system", tmp_path / "local")
    assert folder == tmp_path / "a" / "b"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_is_told_as_it_can_be_read_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    assert prepare_data_folder("../there") == tmp_path / "there"
    assert prepare_data_folder("data") == tmp_path / "here" / "data"
    assert prepare_data_folder(str(tmp_path / "link")) == tmp_path / "link"
    (tmp_path / "there" / "entrepot.db").touch()
    assert find_data_folder("../there") == tmp_path / "there"


def test_the_folder_of_the_system_is_taken_where_it_may_be_written(tmp_path: Path) -> None:
    assert prepare_data_folder(None, tmp_path / "system", tmp_path / "local") == tmp_path / "system"


def test_else_the_local_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert prepare_data_folder(None, tmp_path / "file" / "system", tmp_path / "local") == tmp_path / "local"
    assert (tmp_path / "local").is_dir()


def test_a_configured_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsInvalid, match=f"data: {tmp_path}/file is no folder: name another"):
        prepare_data_folder(str(tmp_path / "file"))
    with pytest.raises(SettingsInvalid, match=f"data: {tmp_path}/file/a cannot be created: Not a directory"):
        prepare_data_folder(str(tmp_path / "file" / "a"))


def test_a_folder_that_others_than_its_owner_may_not_look_at_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exists(path: Path) -> bool:  # As it is for others than root.
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "exists", exists)
    for choose in (prepare_data_folder, find_data_folder):
        with pytest.raises(SettingsInvalid, match=f"data: {tmp_path} may not be looked at: be its owner"):
            choose(str(tmp_path))


def test_where_no_folder_can_be_had_it_is_told_how_to_name_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    system, local = tmp_path / "file" / "system", tmp_path / "file" / "local"
    with pytest.raises(SettingsInvalid) as failure:
        prepare_data_folder(None, system, local)
    assert str(failure.value) == (
        f"data: neither {system} nor {local} can be written; name a folder with --data or ENTREPOT_DATA"
    )


def test_a_cache_of_ones_own_is_found_beside_one_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, local = tmp_path / "system", tmp_path / "local"
    for folder in (system, local):
        folder.mkdir()
        (folder / "entrepot.db").touch()
    assert find_data_folder(None, system, local) == system
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != system)  # Root may write anywhere.
    assert find_data_folder(None, system, local) == local
    (local / "entrepot.db").unlink()
    assert find_data_folder(None, system, local) == system


def test_a_cache_of_ones_own_is_found_beside_what_may_not_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, exists = tmp_path / "system", Path.exists

    def refuse(path: Path) -> bool:
        if system in path.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", refuse)
    (tmp_path / "entrepot.db").touch()
    assert find_data_folder(None, system, tmp_path) == tmp_path
    (tmp_path / "entrepot.db").unlink()
    with pytest.raises(SettingsInvalid, match=f"data: {system} may not be looked at"):
        find_data_folder(None, system, tmp_path)
