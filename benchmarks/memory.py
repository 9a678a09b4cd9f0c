"""What a program occupies in memory, all its processes together (Linux)."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["peak_resident", "proportional_size"]


def proportional_size(session: int) -> int:
    """Add up the proportional set sizes of a session's processes, in bytes: shared pages count once."""
    return sum(_kibibytes(process / "smaps_rollup", "Pss") for process in _processes(session)) << 10


def peak_resident(session: int) -> int:
    """Add up the highest resident set sizes that a session's processes ever had, in bytes."""
    return sum(_kibibytes(process / "status", "VmHWM") for process in _processes(session)) << 10


def _processes(session: int) -> list[Path]:
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and _session(entry) == session]


def _session(process: Path) -> int | None:
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None  # It has ended since it was listed.
    return int(fields[3])


def _kibibytes(file: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0
