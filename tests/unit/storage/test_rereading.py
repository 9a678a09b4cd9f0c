from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from entrepot.storage.rereading import feed_from

CONTENT = bytes(range(256)) * 4096 * 9
_PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(CONTENT)
    return path


def _read_all(path: Path) -> str:
    hasher, offset = hashlib.sha256(), 0
    while count := feed_from(path, hasher, offset):
        offset += count
    return hasher.hexdigest()


def _forget(path: Path) -> None:
    """Have the kernel write the file down and let go of it."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def _is_in_memory(path: Path, offset: int) -> bool:
    """Tell whether a page is there; to ask is to have it fetched."""
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    try:
        return os.preadv(fd, [bytearray(_PAGE)], offset, os.RWF_NOWAIT) == _PAGE
    except BlockingIOError:
        return False
    except OSError as failure:
        if failure.errno == errno.EOPNOTSUPP:
            pytest.skip("NOT TESTED: this file system does not tell what is in memory")
        raise
    finally:
        os.close(fd)


def test_all_of_a_file_is_hashed_in_steps(path: Path) -> None:
    assert _read_all(path) == hashlib.sha256(CONTENT).hexdigest()
    assert feed_from(path, hashlib.sha256(), 0) in range(1, 8 << 20)


def test_what_nobody_had_in_memory_is_not_left_there(path: Path) -> None:
    left = [0]
    for _ in range(20):  # The kernel may be busy with a page when it is asked to let go of it.
        _forget(path)
        assert _read_all(path) == hashlib.sha256(CONTENT).hexdigest()
        left = [offset for offset in range(0, len(CONTENT), 1 << 20) if _is_in_memory(path, offset)]
        if not left:
            break
    assert left == []


def test_what_others_have_in_memory_stays_there(path: Path) -> None:
    assert path.read_bytes() == CONTENT
    _read_all(path)
    assert all(_is_in_memory(path, offset) for offset in range(0, len(CONTENT), 1 << 20))


def test_bytes_that_the_disk_cannot_give_back_are_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", fail)
    assert feed_from(path, hashlib.sha256(), 0) is None


def test_no_descriptor_is_left_open(path: Path, tmp_path: Path) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    _read_all(path)
    with pytest.raises(IsADirectoryError):
        feed_from(tmp_path, hashlib.sha256(), 0)
    assert sorted(Path("/proc/self/fd").iterdir()) == before
