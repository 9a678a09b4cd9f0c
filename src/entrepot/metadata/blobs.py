"""Blobs: which repositories hold them, which are stored, and when content was used."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    Connection,
    Integer,
    bindparam,
    delete,
    func,
    literal_column,
    select,
)

from entrepot.metadata import schema
from entrepot.metadata.charges import charge
from entrepot.metadata.database import Database
from entrepot.metadata.priorities import count_uses, first_priority
from entrepot.metadata.repositories import SAME_REPOSITORY, named, within
from entrepot.metadata.upsert import insert_or_replace, insert_or_set
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.ports.metadata import KnownBlob, Use

__all__ = ["SqlBlobIndex", "column_size"]

_LARGEST_INTEGER = 2**63 - 1
_PATIENCE = 30.0  # Nobody waits for uses to be counted, and there may be many.

_BLOB = (
    select(schema.repository_blobs.c.size)
    .join(schema.repositories)
    .where(SAME_REPOSITORY, schema.repository_blobs.c.digest == bindparam("digest"))
)
_CONFIRM = insert_or_set(
    schema.repository_blobs,
    lambda offered: {"size": func.coalesce(offered.size, schema.repository_blobs.c.size)},
)

_KEEP_STORED = insert_or_replace(schema.blobs, "size", "stored_at", "last_used_at")
_FORGET_STORED = delete(schema.blobs).where(schema.blobs.c.digest == bindparam("forgotten"))

_IS_STORED = select(schema.blobs.c.size).where(schema.blobs.c.digest == bindparam("digest"))
_STORED = (
    select(schema.blobs.c.digest)
    .where(schema.blobs.c.digest > bindparam("after"))
    .order_by(schema.blobs.c.digest)
    .limit(bindparam("limit", type_=Integer))
    .offset(literal_column("0", Integer))  # Left out, it would become a parameter with a name of its own.
)


def column_size(size: int | None) -> int | None:
    """Return ``size``, or ``None`` for a number that no blob has and no column holds."""
    return size if size is not None and size <= _LARGEST_INTEGER else None


class SqlBlobIndex:
    """Implements ``ports.metadata.BlobIndex`` and ``StoredBlobs``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def blob(self, repository: Repository, digest: Digest) -> KnownBlob | None:
        rows = self._database.find(_BLOB, digest=str(digest), **named(repository))
        return KnownBlob(*rows[0]) if rows else None

    async def confirm_blob(self, repository: Repository, digest: Digest, size: int | None) -> None:
        confirm = within(repository, _CONFIRM, {"digest": str(digest), "size": column_size(size)})

        def change(connection: Connection) -> None:
            confirm(connection)
            charge(connection, [digest])

        await self._database.note(change)

    async def record_stored(self, digest: Digest, size: int, now: float) -> None:
        row = {"digest": str(digest), "size": size, "stored_at": now, "last_used_at": now}

        def change(connection: Connection) -> None:
            connection.execute(_KEEP_STORED, row | {"priority": first_priority(connection, size)})
            charge(connection, [digest])

        await self._database.change(change)

    async def forget_stored(self, digest: Digest) -> None:
        await self._database.execute(_FORGET_STORED, {"forgotten": str(digest)})

    def is_stored(self, digest: Digest) -> bool:
        return bool(self._database.find(_IS_STORED, digest=str(digest)))

    def stored_after(self, digest: Digest | None, limit: int) -> list[Digest]:
        after = "" if digest is None else str(digest)
        return [
            self._database.digest(row) for (row,) in self._database.find(_STORED, after=after, limit=limit)
        ]

    async def record_uses(self, uses: Sequence[Use]) -> None:
        if uses:
            await self._database.note(lambda connection: count_uses(connection, uses), _PATIENCE)
