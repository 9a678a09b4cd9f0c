"""Content in the order in which it goes, and what goes with it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Integer,
    Select,
    Table,
    bindparam,
    delete,
    exists,
    literal_column,
    select,
    tuple_,
)

from entrepot.metadata import schema
from entrepot.metadata.database import Database
from entrepot.metadata.priorities import count_uses, raise_floor
from entrepot.oci.digest import Digest
from entrepot.ports.eviction import Candidate, Stored
from entrepot.ports.metadata import Use

__all__ = ["SqlEvictionIndex"]

_BLOCK = 4096
_PAGES_LEFT = 256
"""So much free room of the file, 1 MiB of usual pages, is not worth the work: it will be used again."""

_repository_blobs, _repository_manifests = schema.repository_blobs, schema.repository_manifests
_manifest_blobs, _repositories = schema.manifest_blobs, schema.repositories
_gone: BindParameter[str] = bindparam("gone")

_STORED = select(schema.totals.c.blobs, schema.totals.c.blob_bytes)
_FREE_PAGES = "PRAGMA freelist_count"
_GIVE_BACK = "PRAGMA incremental_vacuum(1)"  # However many it is told: the driver has it begin only.


def _lowest(table: Table) -> Select[*tuple[Any, ...]]:
    order = (table.c.priority, table.c.last_used_at, table.c.digest)
    after = tuple_(bindparam("priority"), bindparam("last_used_at"), bindparam("digest"))
    return (
        select(table.c.digest, table.c.size, table.c.priority, table.c.last_used_at)
        .where(tuple_(*order) > after)
        .order_by(*order)
        .limit(bindparam("limit", type_=Integer))
        .offset(literal_column("0", Integer))  # Left out, it would become a parameter with a name of its own.
    )


def _known(table: Table) -> Select[*tuple[Any, ...]]:
    columns = (table.c.digest, table.c.size, table.c.priority, table.c.last_used_at)
    return select(*columns).where(table.c.digest == bindparam("digest"))


def _unchanged(table: Table) -> Select[*tuple[Any, ...]]:
    return select(table.c.digest).where(table.c.digest == _gone, table.c.last_used_at == bindparam("seen"))


_LOWEST_BLOBS, _LOWEST_MANIFESTS = _lowest(schema.blobs), _lowest(schema.manifests)
_KNOWN_BLOB, _KNOWN_MANIFEST = _known(schema.blobs), _known(schema.manifests)
_UNCHANGED_BLOB, _UNCHANGED_MANIFEST = _unchanged(schema.blobs), _unchanged(schema.manifests)

# A repository holds a blob for as long as one of its manifests names it, or its bytes are here.
_is_named = exists().where(
    _manifest_blobs.c.blob_digest == _repository_blobs.c.digest,
    _manifest_blobs.c.manifest_digest == _repository_manifests.c.digest,
    _repository_manifests.c.repository_id == _repository_blobs.c.repository_id,
)
_is_stored = exists().where(schema.blobs.c.digest == _repository_blobs.c.digest)

_HOLDERS_OF_BLOB = select(_repository_blobs.c.repository_id).where(_repository_blobs.c.digest == _gone)
_DROP_BLOB = delete(schema.blobs).where(schema.blobs.c.digest == _gone)
_DROP_LINKS = delete(_repository_blobs).where(_repository_blobs.c.digest == _gone, ~_is_named)

_HOLDERS_OF_MANIFEST = select(_repository_manifests.c.repository_id).where(
    _repository_manifests.c.digest == _gone
)
_NAMED = select(_manifest_blobs.c.blob_digest).where(_manifest_blobs.c.manifest_digest == _gone)
_DROP_MANIFEST = delete(schema.manifests).where(schema.manifests.c.digest == _gone)
_DROP_TAGS = delete(schema.tags).where(schema.tags.c.digest == _gone)
_DROP_REFERRERS = delete(schema.referrer_listings).where(
    schema.referrer_listings.c.subject == _gone,
    schema.referrer_listings.c.repository_id == bindparam("holder"),
)
_DROP_LINK = delete(_repository_blobs).where(
    _repository_blobs.c.repository_id == bindparam("holder"),
    _repository_blobs.c.digest == bindparam("named"),
    ~_is_stored,
    ~_is_named,
)

_DROP_EMPTY = delete(_repositories).where(
    _repositories.c.id == bindparam("holder"),
    ~exists().where(_repository_manifests.c.repository_id == _repositories.c.id),
    ~exists().where(_repository_blobs.c.repository_id == _repositories.c.id),
)


class SqlEvictionIndex:
    """Implements ``ports.eviction.EvictionIndex``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stored(self) -> Stored:
        return Stored(*self._database.find(_STORED)[0])

    def lowest(self, after: Candidate | None, limit: int) -> list[Candidate]:
        priority, last_used_at, digest = _place(after) if after is not None else (-math.inf, 0.0, "")
        blobs, manifests = (
            self._database.find(
                statement, priority=priority, last_used_at=last_used_at, digest=digest, limit=limit
            )
            for statement in (_LOWEST_BLOBS, _LOWEST_MANIFESTS)
        )
        return list(heapq.merge(map(_blob, blobs), map(_manifest, manifests), key=_place))[:limit]

    def candidates(self, digests: Sequence[Digest]) -> list[Candidate]:
        return [candidate for digest in digests for candidate in self._known(str(digest))]

    async def evict(self, victims: Sequence[Candidate]) -> list[Candidate]:
        return await self._database.change(lambda connection: _evict(connection, victims))

    async def advance(self, reached: float, spared: Sequence[Candidate]) -> None:
        def change(connection: Connection) -> None:
            raise_floor(connection, reached)
            count_uses(connection, [Use(candidate.digest, 0.0, 0) for candidate in spared])

        await self._database.change(change)

    async def give_back(self) -> bool:
        has_given = await self._database.change(_give_back)
        if has_given:
            await self._database.checkpoint()
        return has_given

    def _known(self, digest: str) -> Iterator[Candidate]:
        yield from map(_blob, self._database.find(_KNOWN_BLOB, digest=digest))
        yield from map(_manifest, self._database.find(_KNOWN_MANIFEST, digest=digest))


def _blob(row: tuple[Any, ...]) -> Candidate:
    digest, size, priority, last_used_at = row
    return Candidate(
        Digest.parse(digest), -(-size // _BLOCK) * _BLOCK, priority, last_used_at, is_manifest=False
    )


def _manifest(row: tuple[Any, ...]) -> Candidate:
    digest, size, priority, last_used_at = row
    return Candidate(Digest.parse(digest), size, priority, last_used_at, is_manifest=True)


def _place(candidate: Candidate) -> tuple[float, float, str]:
    return candidate.priority, candidate.last_used_at, str(candidate.digest)


def _evict(connection: Connection, victims: Sequence[Candidate]) -> list[Candidate]:
    """Drop blobs first: the links to them then have no reason left when their manifest goes as well."""
    gone: list[Candidate] = []
    touched: set[int] = set()
    for victim in sorted(victims, key=lambda victim: victim.is_manifest):
        unchanged = _UNCHANGED_MANIFEST if victim.is_manifest else _UNCHANGED_BLOB
        key = {"gone": str(victim.digest)}
        if connection.execute(unchanged, key | {"seen": victim.last_used_at}).first():
            touched |= (_drop_manifest if victim.is_manifest else _drop_blob)(connection, key)
            gone.append(victim)
    for holder in touched:
        connection.execute(_DROP_EMPTY, {"holder": holder})
    return gone


def _drop_blob(connection: Connection, key: dict[str, str]) -> set[int]:
    """Return the numbers of the repositories that may have nothing left."""
    holders = set(connection.execute(_HOLDERS_OF_BLOB, key).scalars())
    connection.execute(_DROP_BLOB, key)
    if holders:
        connection.execute(_DROP_LINKS, key)
    return holders


def _drop_manifest(connection: Connection, key: dict[str, str]) -> set[int]:
    """Do as ``_drop_blob`` does."""
    holders = set(connection.execute(_HOLDERS_OF_MANIFEST, key).scalars())
    named = connection.execute(_NAMED, key).scalars().all()
    connection.execute(_DROP_MANIFEST, key)
    connection.execute(_DROP_TAGS, key)
    for holder in holders:
        connection.execute(_DROP_REFERRERS, key | {"holder": holder})
        links = [{"holder": holder, "named": blob} for blob in named]
        if links:
            connection.execute(_DROP_LINK, links)
    return holders


def _give_back(connection: Connection) -> bool:
    before: int = connection.exec_driver_sql(_FREE_PAGES).scalar_one()
    if before < _PAGES_LEFT:
        return False
    for _ in range(_PAGES_LEFT):
        connection.exec_driver_sql(_GIVE_BACK)
    after: int = connection.exec_driver_sql(_FREE_PAGES).scalar_one()
    return after < before
