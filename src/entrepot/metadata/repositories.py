"""Repositories as every other table refers to them: by a number."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, and_, bindparam, insert, select

from entrepot.metadata import schema
from entrepot.metadata.database import Change
from entrepot.oci.reference import Repository

__all__ = ["SAME_REPOSITORY", "named", "repository_id", "within"]

_table = schema.repositories

# The condition of every look-up within a repository; ``named`` gives its parameters.
SAME_REPOSITORY: ColumnElement[bool] = and_(
    _table.c.upstream == bindparam("upstream"), _table.c.name == bindparam("name")
)

_ID = select(_table.c.id).where(SAME_REPOSITORY)


def named(repository: Repository) -> dict[str, str]:
    return {"upstream": repository.upstream, "name": repository.name}


def within(repository: Repository, statement: Executable, row: dict[str, Any]) -> Change[None]:
    """Make the change that executes ``statement`` with ``row`` and the repository's number."""

    def change(connection: Connection) -> None:
        connection.execute(statement, row | {"repository_id": repository_id(connection, repository)})

    return change


def repository_id(connection: Connection, repository: Repository) -> int:
    """Return the repository's number, its first if it has none: with one writer, nobody comes between."""
    found: int | None = connection.execute(_ID, named(repository)).scalar_one_or_none()
    if found is None:
        connection.execute(insert(_table), named(repository) | {"path": str(repository)})
        found = connection.execute(_ID, named(repository)).scalar_one()
    return found
