"""Which intervals of a spool are written: a text file that only grows.

The first line names the boot of the machine, each further line an interval whose bytes
were handed to the kernel before the line was.  The death of the process loses neither;
the death of the machine may lose bytes and keep lines, so a journal of another boot
is believed only up to its last ``synced`` line, which stands for bytes on the disk.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["Journal", "boot_id"]

_SYNCED = "synced"


def boot_id() -> str:
    """Return what differs between two boots of the machine; a constant where the kernel tells nothing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


class Journal:
    """Calls block for one small append: make them from a thread that writes anyway."""

    def __init__(self, path: Path, boot: str) -> None:
        self._path = path
        self.intervals = _believed(path, boot)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        head = [boot, *(f"{start} {stop}" for start, stop in self.intervals)]
        self._append("\n".join(head))

    def add(self, start: int, stop: int) -> None:
        self._append(f"{start} {stop}")

    def synced(self) -> None:
        """Note that all intervals so far are on the disk."""
        self._append(_SYNCED)
        os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def _append(self, line: str) -> None:
        os.write(self._fd, f"{line}\n".encode("ascii"))


def _believed(path: Path, boot: str) -> list[tuple[int, int]]:
    try:
        text = path.read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return []
    head, *lines = text.split("\n")[:-1] or [""]
    if head != boot:
        lines = lines[: _last_synced(lines)]
    return [interval for line in lines if (interval := _interval(line)) is not None]


def _last_synced(lines: list[str]) -> int:
    return max((number for number, line in enumerate(lines) if line == _SYNCED), default=0)


def _interval(line: str) -> tuple[int, int] | None:
    start, _, stop = line.partition(" ")
    if not (start.isdigit() and stop.isdigit()):
        return None
    return int(start), int(stop)
