"""Which intervals of a spool are written: a text file that only grows.

The first line names the boot of the machine, each further line an interval whose bytes
were handed to the kernel before the line was.  The death of the process loses neither;
the death of the machine may lose bytes and keep lines, so a journal of another boot
is believed only up to its last ``synced`` line, which stands for bytes on the disk.

No line is believed beyond the end of the part it speaks of, nor written down again: the
part may have been lost and begun anew, and will grow over what the line speaks of.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from entrepot.storage.system import System, remove_file, write_all

__all__ = ["Journal", "boot_id"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SYNCED = "synced"
_INTERVAL = re.compile(r"([0-9]{1,19}) ([0-9]{1,19})")

Interval = tuple[int, int]


def boot_id(source: Path = _BOOT_ID) -> str:
    """Return what differs between two boots; where the kernel tells nothing, between two processes."""
    try:
        return source.read_text(encoding="ascii").strip()
    except OSError:
        return secrets.token_hex(16)


class Journal:
    """Calls block for one small append: make them from a thread that writes anyway."""

    def __init__(self, path: Path, boot: str, end: int, system: System = os) -> None:
        """Take over what an earlier journal says of the ``end`` bytes that its part has now."""
        self._path = path
        self._system = system
        synced, written = _believed(path, boot, end)
        self.intervals = synced + written
        beside = path.with_name(f"{path.name}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._fd = system.open(beside, flags, 0o600)
        try:
            self._take_over(boot, synced, written)
            system.replace(beside, path)
        except BaseException:
            os.close(self._fd)
            remove_file(system, beside)
            raise

    def add(self, start: int, stop: int) -> None:
        self._append(_line(start, stop))

    def synced(self) -> None:
        """Note that all intervals so far are on the disk."""
        self._append(_SYNCED)
        self._system.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)

    def remove(self) -> None:
        remove_file(self._system, self._path)

    def _take_over(self, boot: str, synced: list[Interval], written: list[Interval]) -> None:
        self._append(boot)
        if synced:
            self._append("\n".join(_line(*interval) for interval in synced))
            self.synced()
        if written:
            self._append("\n".join(_line(*interval) for interval in written))

    def _append(self, lines: str) -> None:
        write_all(self._system, self._fd, f"{lines}\n".encode("ascii"))


def _believed(path: Path, boot: str, end: int) -> tuple[list[Interval], list[Interval]]:
    """Return the intervals that are on the disk, and those that this boot handed to the kernel since."""
    try:
        text = path.read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return [], []
    head, *lines = text.split("\n")[:-1] or [""]
    last = _last_synced(lines)
    return _intervals(lines[:last], end), _intervals(lines[last:], end) if head == boot else []


def _last_synced(lines: list[str]) -> int:
    return max((number for number, line in enumerate(lines) if line == _SYNCED), default=0)


def _intervals(lines: list[str], end: int) -> list[Interval]:
    matches = filter(None, map(_INTERVAL.fullmatch, lines))
    found = ((int(match[1]), int(match[2])) for match in matches)
    return [(start, stop) for start, stop in found if start < stop <= end]


def _line(start: int, stop: int) -> str:
    return f"{start} {stop}"
