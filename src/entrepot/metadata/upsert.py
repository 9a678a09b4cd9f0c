"""INSERTs that meet a row with their key: written once, because every database has its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Insert, Table
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.sql.base import ReadOnlyColumnCollection

__all__ = ["insert_or_keep", "insert_or_replace", "insert_or_set"]

Offered = ReadOnlyColumnCollection[str, ColumnElement[Any]]


def insert_or_keep(table: Table) -> Insert:
    return insert(table).on_conflict_do_nothing(index_elements=table.primary_key.columns)


def insert_or_replace(table: Table, *columns: str) -> Insert:
    """Where the key is there already, replace ``columns``."""
    return insert_or_set(table, lambda offered: {column: offered[column] for column in columns})


def insert_or_set(table: Table, values: Callable[[Offered], Mapping[str, ColumnElement[Any]]]) -> Insert:
    """Where the key is there already, set what ``values`` makes of the row that was offered."""
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=table.primary_key.columns, set_=dict(values(statement.excluded))
    )
