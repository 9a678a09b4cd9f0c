"""Brings a database to the newest schema."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, create_engine, inspect

from entrepot.errors import MetadataFailed
from entrepot.telemetry.log import log

__all__ = ["NEWEST", "bring_up_to_date", "known_revisions", "written_out"]

_MIGRATIONS = Path(__file__).parent / "migrations"
NEWEST = _MIGRATIONS / "newest.sql"
"""What the steps make of an empty database, for a new one need not take them one by one."""

_NUMBERED = re.compile(r"(\d{4})_\w+\.py")


def known_revisions() -> list[str]:
    """Return the numbers of the steps that this version has, oldest first."""
    names = map(_NUMBERED.fullmatch, (path.name for path in (_MIGRATIONS / "versions").iterdir()))
    return sorted(name[1] for name in names if name)


def written_out() -> str:
    """Return the statements that make what the steps make, with an empty line between them."""
    with closing(sqlite3.connect(":memory:")) as database:
        with create_engine("sqlite://", creator=lambda: database).begin() as connection:
            _migrate(connection)
        statements = [_without_empty_lines(statement) for statement in database.iterdump()]
    return "\n\n".join(statements[1:-1]) + "\n"  # The first and the last are those of a transaction.


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
    if _is_new(connection):
        _begin(connection)
    if _current_revision(connection) != known[-1]:
        _migrate(connection)
    log.info("metadata_migrated", path=str(path), before=current, after=known[-1])


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return revision


def _is_new(connection: Connection) -> bool:
    return connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar() == 0


def _begin(connection: Connection) -> None:
    for statement in NEWEST.read_text(encoding="utf-8").split("\n\n"):
        connection.exec_driver_sql(statement)


def _migrate(connection: Connection) -> None:
    # Imported here because only the first start after an update needs it, and it stays for good:
    # 10 MB and 0.3 s.
    from alembic import command, config  # noqa: PLC0415 - rarely needed, never freed

    settings = config.Config(attributes={"connection": connection})
    settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    command.upgrade(settings, "head")


def _without_empty_lines(statement: str) -> str:
    return "\n".join(line.rstrip() for line in statement.splitlines() if line.strip())
