"""Brings a database to the newest schema."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import Connection, inspect

from entrepot.errors import MetadataFailed
from entrepot.telemetry.log import log

__all__ = ["bring_up_to_date", "known_revisions"]

_MIGRATIONS = Path(__file__).parent / "migrations"
_NUMBERED = re.compile(r"(\d{4})_\w+\.py")


def known_revisions() -> list[str]:
    """Return the numbers of the steps that this version has, oldest first."""
    names = map(_NUMBERED.fullmatch, (path.name for path in (_MIGRATIONS / "versions").iterdir()))
    return sorted(name[1] for name in names if name)


def bring_up_to_date(connection: Connection, path: Path, *, is_visit: bool = False) -> None:
    """Run the steps that the database has not seen, all or none of them; on a visit, none.

    Raises ``MetadataFailed`` where a newer version has changed it, or a visitor finds steps to run.
    """
    known, current = known_revisions(), _current_revision(connection)
    if current == known[-1]:
        return
    if current is not None and current not in known:
        raise MetadataFailed(
            f"{path} is of schema {current}, and this version of entrepot knows none beyond {known[-1]}:"
            " run the version that wrote it, or move the file away to begin a new one"
        )
    if is_visit:
        raise MetadataFailed(
            f"{path} is of an older version: start the cache on a folder it may write to bring it up to date"
        )
    _migrate(connection)
    log.info("metadata_migrated", path=str(path), before=current, after=known[-1])


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return revision


def _migrate(connection: Connection) -> None:
    # Imported here because only the first start of a version needs it, and it stays for good:
    # 10 MB and 0.15 s.
    from alembic import command  # noqa: PLC0415 - rarely needed, never freed
    from alembic.config import Config  # noqa: PLC0415 - rarely needed, never freed

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, "head")
