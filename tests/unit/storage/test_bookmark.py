from __future__ import annotations

from pathlib import Path

import pytest

from entrepot.errors import StoreFailed
from entrepot.storage.bookmark import FileBookmark


async def test_it_outlives_the_process_and_leaves_one_file(tmp_path: Path) -> None:
    await FileBookmark(tmp_path / "mark").write(b"here")
    assert FileBookmark(tmp_path / "mark").read() == b"here"
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]


async def test_where_it_cannot_be_kept_the_store_fails(tmp_path: Path) -> None:
    bookmark = FileBookmark(tmp_path / "absent" / "mark")
    with pytest.raises(StoreFailed, match="cannot use"):
        await bookmark.write(b"here")
    (tmp_path / "mark").mkdir()
    with pytest.raises(StoreFailed, match="cannot use"):
        FileBookmark(tmp_path / "mark").read()
