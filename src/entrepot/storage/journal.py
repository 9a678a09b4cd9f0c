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

__all__ = ["Journal", "beside", "boot_id"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_SYNCED = "synced"
_INTERVAL = re.compile(r"([0-9]{1,19}) ([0-9]{1,19})\n")

Interval = tuple[int, int]


def boot_id(source: Path = _BOOT_ID) -> str:
    """Return what differs between two boots; where the kernel tells nothing, between two processes."""
    try:
        return source.read_text(encoding="ascii").strip()
    except OSError:
        return secrets.token_hex(16)


def beside(path: Path) -> Path:
    """Return where a new journal is written before it takes the place of the one at ``path``."""
    return path.with_name(f"{path.name}.new")


class Journal:
    """Calls block for one small append: make them from a thread that writes anyway."""

    def __init__(self, path: Path, boot: str, end: int, system: System = os) -> None:
        """Take over what an earlier journal says of the ``end`` bytes that its part has now."""
        self._path = path
        self._system = system
        synced, written = _believed(path, boot, end)
        self.intervals = synced + written
        new = beside(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        self._fd = system.open(new, flags, 0o600)
        try:
            self._take_over(boot, synced, written)
            system.replace(new, path)
        except BaseException:
            os.close(self._fd)
            remove_file(system, new)
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
    """Return the intervals that are on the disk, and those that this boot handed to the kernel since.

    Memory goes by how many they are when joined, not by the lines, one for each write of a large blob.
    """
    synced: dict[int, int] = {}
    written: dict[int, int] = {}
    try:
        with path.open(encoding="ascii", newline="\n") as lines:
            head = next(lines, "")
            for line in lines:
                _believe(line, end, synced, written)
    except (FileNotFoundError, UnicodeDecodeError):
        return [], []
    return _joined(synced), _joined(written) if head == f"{boot}\n" else []


def _believe(line: str, end: int, synced: dict[int, int], written: dict[int, int]) -> None:
    if line == f"{_SYNCED}\n":
        for interval in _joined(written):
            _join(synced, *interval)
        written.clear()
    elif (match := _INTERVAL.fullmatch(line)) and int(match[1]) < int(match[2]) <= end:
        _join(written, int(match[1]), int(match[2]))


def _join(starts: dict[int, int], start: int, stop: int) -> None:
    """Note an interval by where it ends; one that goes on where another ended becomes one with it."""
    starts[stop] = min(starts.pop(start, start), starts.get(stop, stop))


def _joined(starts: dict[int, int]) -> list[Interval]:
    return [(start, stop) for stop, start in starts.items()]


def _line(start: int, stop: int) -> str:
    return f"{start} {stop}"
