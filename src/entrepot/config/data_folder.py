"""Finds the folder to keep the cache in."""

from __future__ import annotations

import os
from pathlib import Path

from entrepot.errors import SettingsInvalid

__all__ = ["find_data_folder", "prepare_data_folder"]

_OF_THE_SYSTEM = Path("/var/lib/entrepot")
_HERE = Path("data")


def prepare_data_folder(configured: str | None, system: Path = _OF_THE_SYSTEM, local: Path = _HERE) -> Path:
    """Return the configured folder, else the system's where it may be written, else ``local``; make it.

    Raises ``SettingsInvalid`` where it cannot be created or written.
    """
    if configured is not None:
        return _created(Path(configured))
    try:
        return _created(system)
    except SettingsInvalid:
        pass
    try:
        return _created(local)
    except SettingsInvalid as failure:
        raise SettingsInvalid(
            f"data: neither {system} nor {local.absolute()} can be written;"
            " name a folder with --data or ENTREPOT_DATA"
        ) from failure


def find_data_folder(configured: str | None, system: Path = _OF_THE_SYSTEM, local: Path = _HERE) -> Path:
    """Return the folder that holds a cache, of those that ``prepare_data_folder`` would prepare.

    Raises ``SettingsInvalid`` where there is none.
    """
    folders = [Path(configured)] if configured is not None else [system, local]
    for folder in folders:
        if (folder / "entrepot.db").exists():
            return folder
    named = " nor ".join(str(folder.absolute()) for folder in folders)
    raise SettingsInvalid(f"data: no cache in {named}; name its folder with --data or ENTREPOT_DATA")


def _created(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsInvalid(f"data: {folder} cannot be created: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsInvalid(f"data: {folder} may not be written")
    return folder
