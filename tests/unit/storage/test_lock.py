from __future__ import annotations

import os
from pathlib import Path

import pytest

from entrepot.errors import StoreFailed
from entrepot.storage.lock import FolderLock


def test_a_folder_has_one_holder_and_tells_who(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(StoreFailed, match=f"in use by process {os.getpid()}"):
        FolderLock(tmp_path)
    lock.release()


def test_a_released_folder_can_be_taken(tmp_path: Path) -> None:
    FolderLock(tmp_path).release()
    FolderLock(tmp_path).release()
