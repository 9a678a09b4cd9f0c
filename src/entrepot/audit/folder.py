"""How audit files are called: by the moment at which each was begun, so that their names are in its order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

__all__ = ["audit_files", "begun_at", "next_file"]

_FORM = "audit-%Y%m%dT%H%M%S.%fZ.jsonl"


def audit_files(folder: Path) -> list[Path]:
    """Return the audit files of a folder that need not exist, oldest first; others are none of ours."""
    try:
        return sorted(path for path in folder.iterdir() if begun_at(path.name) is not None)
    except FileNotFoundError:
        return []


def begun_at(name: str) -> datetime | None:
    """Return when the file of that name was begun; ``None`` if it is no audit file."""
    try:
        moment = datetime.strptime(name, _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment if moment.strftime(_FORM) == name else None


def next_file(folder: Path, now: float, newest: Path | None) -> Path:
    """Name the file that comes after ``newest``, even if the clock was set back since."""
    moment = datetime.fromtimestamp(now, UTC)
    before = None if newest is None else begun_at(newest.name)
    if before is not None:
        moment = max(moment, before + timedelta(microseconds=1))
    return folder / moment.strftime(_FORM)
