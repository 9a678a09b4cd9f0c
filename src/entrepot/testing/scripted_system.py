"""A disk that fails when the test says so: it counts the calls that change something, and interferes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entrepot.testing.platter import Platter

__all__ = ["Halted", "ScriptedSystem"]

Content = bytes | memoryview


class Halted(BaseException):
    """The machine stands still, and nothing that the program does from here on changes the disk.

    No ``Exception``, because no code may handle it: it stands for ``kill -9`` and for the power cut.
    """


class ScriptedSystem:
    """Stands for ``os`` in the store; changes nothing any more once it has halted.

    Nothing is synced in truth: with a ``platter``, that knows what a power cut would leave.
    """

    def __init__(self, platter: Platter | None = None) -> None:
        self.calls: list[str] = []
        """The calls that changed something, by their names, with those that failed."""
        self.is_halted = False
        self.most_bytes: int | None = None
        """How many bytes a write takes at a time."""
        self._platter = platter
        self._fault: Callable[[int], None] = lambda _number: None
        self._lock = threading.Lock()

    # What a test scripts.

    def behave(self) -> None:
        self._fault = lambda _number: None

    def fail(self, number: int, *, at: int = 1, times: int | None = 1) -> None:
        """Let ``times`` calls, from the ``at``-th to come on, raise ``OSError`` with this ``errno``."""
        first = len(self.calls) + at

        def fault(call: int) -> None:
            if first <= call and (times is None or call < first + times):
                raise OSError(number, os.strerror(number))

        self._fault = fault

    def halt(self, *, at: int = 1, then: Callable[[], None] = lambda: None) -> None:
        """Raise ``Halted`` in place of the ``at``-th call to come and of all later; first call ``then``."""
        last = len(self.calls) + at

        def fault(call: int) -> None:
            if call >= last:
                self.is_halted = True
                then()
                raise Halted

        self._fault = fault

    def watch(self, look: Callable[[], None]) -> None:
        """Call ``look`` before every change: what it sees is what would be left if the change never came."""
        self._fault = lambda _number: look()

    def step(self, name: str) -> None:
        """Count a change that does not come through here, as one of a database; fail or halt in its place."""
        with self._lock:
            self._step(name)

    # What the store calls.

    def open(self, path: Path, flags: int, mode: int = 0o777, /) -> int:
        changes = flags & (os.O_CREAT | os.O_TRUNC)
        return int(self._do("open", path, flags, mode, counts=bool(changes)))

    def write(self, fd: int, content: Content, /) -> int:
        return int(self._do("write", fd, content[: self.most_bytes]))

    def pwrite(self, fd: int, content: Content, offset: int, /) -> int:
        return int(self._do("pwrite", fd, content[: self.most_bytes], offset))

    def ftruncate(self, fd: int, size: int, /) -> None:
        self._do("ftruncate", fd, size)

    def posix_fallocate(self, fd: int, offset: int, size: int, /) -> None:
        self._do("posix_fallocate", fd, offset, size)

    def utime(self, fd: int, /, *, ns: tuple[int, int]) -> None:
        self._do("utime", fd, None, ns=ns)

    def fsync(self, fd: int, /) -> None:
        self._do("fsync", fd)

    def fdatasync(self, fd: int, /) -> None:
        self._do("fsync", fd)

    def mkdir(self, path: Path, mode: int = 0o777, /) -> None:
        self._do("mkdir", path, mode)

    def replace(self, source: Path, target: Path, /) -> None:
        self._do("replace", source, target)

    def unlink(self, path: Path, /) -> None:
        self._do("unlink", path)

    def _do(self, name: str, *arguments: Any, counts: bool = True, **options: Any) -> Any:
        with self._lock:
            if counts:
                self._step(name)
            result = None if name == "fsync" else getattr(os, name)(*arguments, **options)
            if self._platter is not None:
                self._platter.note(name, arguments, result)
            return result

    def _step(self, name: str) -> None:
        if self.is_halted:
            raise Halted
        self.calls.append(name)
        self._fault(len(self.calls))
