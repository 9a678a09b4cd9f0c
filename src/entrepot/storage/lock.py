"""One process per data folder."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from entrepot.errors import StoreFailed

__all__ = ["FolderLock", "holder_of"]


class FolderLock:
    """Held from its making to ``release``, or to the death of the process: the kernel lets go of it."""

    def __init__(self, folder: Path) -> None:
        """Raise ``StoreFailed`` where the folder cannot be had; the message tells which process holds it."""
        self._fd = _opened(folder)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as failure:
            reason = _reason(failure, self._fd)
            os.close(self._fd)
            raise StoreFailed(f"{folder} {reason}") from failure
        # Over what is there, and only to be told: a full disk is no reason not to start.
        with suppress(OSError):
            os.pwrite(self._fd, f"{os.getpid():<31}\n".encode("ascii"), 0)

    def release(self) -> None:
        os.close(self._fd)


def holder_of(folder: Path) -> str | None:
    """Tell which process holds a folder, ``unknown`` if it does not say, and ``None`` where none does.

    Nothing is made or written; a process that starts just then may find the folder in use.
    """
    path = folder / "entrepot.lock"
    try:
        fd = os.open(path if path.exists() else folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(fd)
    except OSError:  # A file system without locks.
        return None
    finally:
        os.close(fd)
    return None


def _opened(folder: Path) -> int:
    """Open the file of the lock; where none can be made, the folder itself can still be locked."""
    path = folder / "entrepot.lock"
    flags = os.O_RDWR | os.O_CREAT
    if not os.access(folder, os.W_OK):
        path, flags = (path, os.O_RDONLY) if path.exists() else (folder, os.O_RDONLY)
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o600)
    except OSError as failure:
        raise StoreFailed(
            f"{path} cannot be opened: {failure.strerror}{_advice(failure, folder)}"
        ) from failure


def _advice(failure: OSError, folder: Path) -> str:
    """Tell what is to be done where another user, such as root, has served the folder before."""
    if not isinstance(failure, PermissionError):
        return ""
    return f": give the folder, with all in it, to the user that serves: chown -R USER {folder}"


def _reason(failure: OSError, fd: int) -> str:
    if isinstance(failure, BlockingIOError):
        return f"is in use by process {_holder(fd)}: stop that one, or choose another data folder"
    return f"cannot be locked: {failure.strerror}"


def _holder(fd: int) -> str:
    with suppress(OSError):  # A folder's.
        return os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
    return "unknown"
