"""Which upstream a stored blob counts for: that of the repository which was first known to hold it."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, select, update

from entrepot.metadata import schema
from entrepot.oci.digest import Digest

__all__ = ["charge"]

_held, _blobs = schema.repository_blobs, schema.blobs
_first_holder = (
    select(schema.repositories.c.upstream)
    .join_from(_held, schema.repositories)
    .where(_held.c.digest == _blobs.c.digest)
    .order_by(_held.c.repository_id)
    .limit(1)
    .scalar_subquery()
)
_CHARGE = (
    update(_blobs)
    .where(_blobs.c.digest == bindparam("charged"), _blobs.c.upstream.is_(None))
    .values(upstream=_first_holder)
)


def charge(connection: Connection, digests: Iterable[Digest]) -> None:
    """Charge an upstream with those that are stored and held, and charged to none yet."""
    rows = [{"charged": str(digest)} for digest in digests]
    if rows:
        connection.execute(_CHARGE, rows)
