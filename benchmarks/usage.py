"""What a program takes of memory and of the processors, all its processes together (Linux)."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["peak_resident", "processor_seconds", "proportional_size", "signal_all"]

_TICKS = os.sysconf("SC_CLK_TCK")


def proportional_size(session: int) -> int:
    """Add up the proportional set sizes of a session's processes, in bytes: shared pages count once."""
    return sum(_kibibytes(process / "smaps_rollup", "Pss") for process in _processes(session)) << 10


def peak_resident(session: int) -> int:
    """Add up the highest resident set sizes that a session's processes ever had, in bytes."""
    return sum(_kibibytes(process / "status", "VmHWM") for process in _processes(session)) << 10


def processor_seconds(session: int) -> float:
    """Add up the seconds for which a session's processes have kept a processor busy, in the kernel too."""
    times = [_fields(process)[11:13] for process in _processes(session)]
    return sum(int(time) for pair in times for time in pair) / _TICKS


def signal_all(session: int, number: int) -> None:
    for process in _processes(session):
        os.kill(int(process.name), number)


def _processes(session: int) -> list[Path]:
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and _session(entry) == session]


def _session(process: Path) -> int | None:
    try:
        return int(_fields(process)[3])
    except OSError:
        return None  # It has ended since it was listed.


def _fields(process: Path) -> list[str]:
    """Return what proc(5) tells in ``stat``, from the third field on."""
    return (process / "stat").read_text().rpartition(")")[2].split()


def _kibibytes(file: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0
