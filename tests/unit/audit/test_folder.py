from __future__ import annotations

from pathlib import Path

import pytest

from entrepot.audit.folder import audit_files, begun_at, next_file


def test_a_file_is_called_by_the_moment_it_is_begun(tmp_path: Path) -> None:
    path = next_file(tmp_path, 1767323045.25, None)
    assert path == tmp_path / "audit-20260102T030405.250000Z.jsonl"
    begun = begun_at(path.name)
    assert begun is not None
    assert begun.timestamp() == 1767323045.25


def test_a_clock_that_was_set_back_changes_no_order(tmp_path: Path) -> None:
    first = next_file(tmp_path, 1767323045.25, None)
    assert next_file(tmp_path, 1767323000.0, first).name == "audit-20260102T030405.250001Z.jsonl"


@pytest.mark.parametrize("name", ["audit.jsonl", "audit-1.jsonl", "audit-20260102T030405.25Z.jsonl", "x"])
def test_other_files_are_none_of_ours(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert begun_at(name) is None
    assert audit_files(tmp_path) == []


def test_files_are_told_oldest_first(tmp_path: Path) -> None:
    paths = [next_file(tmp_path, 1767323045.25 + day * 86400, None) for day in (2, 0, 1)]
    for path in paths:
        path.touch()
    assert audit_files(tmp_path) == sorted(paths)


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    assert audit_files(tmp_path / "none") == []
