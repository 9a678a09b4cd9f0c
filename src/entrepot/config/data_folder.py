"""Finds the folder to keep the cache in."""

from __future__ import annotations

import os
from pathlib import Path

from entrepot.errors import SettingsInvalid

__all__ = ["find_data_folder", "is_writable", "prepare_data_folder", "readable"]

_OF_THE_SYSTEM = Path("/var/lib/entrepot")
_HERE = Path("data")


def prepare_data_folder(configured: str | None, system: Path = _OF_THE_SYSTEM, local: Path = _HERE) -> Path:
    """Return the configured folder, else the system's where it may be written, else ``local``; make it.

    What is returned is absolute and without ``..``, to be read wherever one is.  A configured one that
    holds a cache may be read-only: that much can be served.  Raises ``SettingsInvalid`` where the folder
    cannot be created, looked at or written.
    """
    if configured is not None:
        folder = readable(Path(configured))
        return folder if _holds_cache(folder) else _created(folder)
    try:
        return _created(system)
    except SettingsInvalid:
        pass
    try:
        return _created(readable(local))
    except SettingsInvalid as failure:
        raise SettingsInvalid(
            f"data: neither {system} nor {local.absolute()} can be written;"
            " name a folder with --data or ENTREPOT_DATA"
        ) from failure


def find_data_folder(configured: str | None, system: Path = _OF_THE_SYSTEM, local: Path = _HERE) -> Path:
    """Return the folder that holds a cache, of those that ``prepare_data_folder`` would prepare.

    Raises ``SettingsInvalid`` where there is none, or one that may not be looked at; how another is named,
    its caller knows.
    """
    folders = [readable(one) for one in ([Path(configured)] if configured is not None else [system, local])]
    holding, closed = list[Path](), list[SettingsInvalid]()
    for folder in folders:
        try:
            holding += [folder] if _holds_cache(folder) else []
        except SettingsInvalid as failure:
            closed.append(failure)
    if holding:  # One that may not be written is another user's, unless there is no other.
        return next(filter(is_writable, holding), holding[0])
    if closed:
        raise closed[0]
    raise SettingsInvalid(f"data: no cache in {' nor '.join(map(str, folders))}")


def readable(folder: Path) -> Path:
    """Resolve ``..``, which says nothing to others; a link stays by the name that it is known by."""
    return folder.resolve() if ".." in folder.parts else folder.absolute()


def is_writable(folder: Path) -> bool:
    """Tell whether files can be made in it: by its permissions, and by how its file system is mounted."""
    return os.access(folder, os.W_OK | os.X_OK)


def _holds_cache(folder: Path) -> bool:
    try:
        return (folder / "entrepot.db").exists()
    except OSError as error:
        reason = "be its owner" if isinstance(error, PermissionError) else error.strerror
        raise SettingsInvalid(f"data: {folder} may not be looked at: {reason}") from error


def _created(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise SettingsInvalid(f"data: {folder} is no folder: name another") from error
    except OSError as error:
        raise SettingsInvalid(f"data: {folder} cannot be created: {error.strerror or error}") from error
    if not is_writable(folder):
        raise SettingsInvalid(
            f"data: {folder} may not be written, and holds no cache to serve:"
            " make it writable, or name another with --data or ENTREPOT_DATA"
        )
    return folder
