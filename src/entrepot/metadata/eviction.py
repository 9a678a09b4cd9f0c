"""Content in the order in which it goes, and what goes with it."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Delete,
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
_holder: BindParameter[int] = bindparam("holder")
_before: BindParameter[float] = bindparam("before")
_gone: BindParameter[str] = bindparam("gone")
_all_gone: BindParameter[list[str]] = bindparam("all_gone", expanding=True)

_STORED = select(schema.totals.c.blobs, schema.totals.c.blob_bytes)
_CHARGES = select(schema.upstream_totals.c.upstream, schema.upstream_totals.c.blob_bytes)
_FREE_PAGES = "PRAGMA freelist_count"
_GIVE_BACK = "PRAGMA incremental_vacuum(1)"  # However many it is told: the driver has it begin only.


def _lowest(table: Table, *conditions: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    order = (table.c.priority, table.c.last_used_at, table.c.digest)
    after = tuple_(bindparam("priority"), bindparam("last_used_at"), bindparam("digest"))
    return (
        select(table.c.digest, table.c.size, table.c.priority, table.c.last_used_at)
        .where(tuple_(*order) > after, *conditions)
        .order_by(*order)
        .limit(bindparam("limit", type_=Integer))
        .offset(literal_column("0", Integer))  # Left out, it would become a parameter with a name of its own.
    )


def _known(table: Table) -> Select[*tuple[Any, ...]]:
    columns = (table.c.digest, table.c.size, table.c.priority, table.c.last_used_at)
    return select(*columns).where(table.c.digest == bindparam("digest"))


def _last_uses(table: Table) -> Select[*tuple[Any, ...]]:
    return select(table.c.digest, table.c.last_used_at).where(table.c.digest.in_(_all_gone))


_LOWEST_BLOBS, _LOWEST_MANIFESTS = _lowest(schema.blobs), _lowest(schema.manifests)
_LOWEST_CHARGED = _lowest(schema.blobs, schema.blobs.c.upstream == bindparam("upstream"))
_KNOWN_BLOB, _KNOWN_MANIFEST = _known(schema.blobs), _known(schema.manifests)
_LAST_USES_OF_BLOBS, _LAST_USES_OF_MANIFESTS = _last_uses(schema.blobs), _last_uses(schema.manifests)

# A repository holds a blob for as long as one of its manifests names it, or its bytes are here.
_is_named = exists().where(
    _manifest_blobs.c.blob_digest == _repository_blobs.c.digest,
    _manifest_blobs.c.manifest_digest == _repository_manifests.c.digest,
    _repository_manifests.c.repository_id == _repository_blobs.c.repository_id,
)
_is_stored = exists().where(schema.blobs.c.digest == _repository_blobs.c.digest)

_HOLDERS_OF_BLOBS = select(_repository_blobs.c.repository_id).where(_repository_blobs.c.digest.in_(_all_gone))
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
    schema.referrer_listings.c.repository_id == _holder,
)
_DROP_LINK = delete(_repository_blobs).where(
    _repository_blobs.c.repository_id == _holder,
    _repository_blobs.c.digest == bindparam("named"),
    ~_is_stored,
    ~_is_named,
)

_NEXT_REPOSITORY = (
    select(_repositories.c.id).where(_repositories.c.id > _holder).order_by(_repositories.c.id).limit(1)
)
_DROP_STALE = (
    delete(_repository_blobs).where(_repository_blobs.c.repository_id == _holder, ~_is_stored, ~_is_named),
    delete(schema.tags).where(
        schema.tags.c.repository_id == _holder,
        schema.tags.c.checked_at < _before,
        ~exists().where(
            _repository_manifests.c.repository_id == schema.tags.c.repository_id,
            _repository_manifests.c.digest == schema.tags.c.digest,
        ),
    ),
    *(
        delete(listings).where(listings.c.repository_id == _holder, listings.c.checked_at < _before)
        for listings in (schema.tag_listings, schema.referrer_listings)
    ),
)

_DROP_EMPTY = delete(_repositories).where(
    _repositories.c.id == _holder,
    ~exists().where(_repository_manifests.c.repository_id == _repositories.c.id),
    ~exists().where(_repository_blobs.c.repository_id == _repositories.c.id),
)
_DROP_VACANT = _DROP_EMPTY.where(
    *(
        ~exists().where(table.c.repository_id == _repositories.c.id)
        for table in (schema.tags, schema.tag_listings, schema.referrer_listings)
    )
)


class SqlEvictionIndex:
    """Implements ``ports.eviction.EvictionIndex`` and ``LeftBehind``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stored(self) -> Stored:
        return Stored(*self._database.find(_STORED)[0])

    def charges(self) -> dict[str, int]:
        return dict(self._database.find(_CHARGES))

    def lowest(self, after: Candidate | None, limit: int, upstream: str | None = None) -> list[Candidate]:
        priority, last_used_at, digest = _place(after) if after is not None else (-math.inf, 0.0, "")
        page: dict[str, str | float] = {
            "priority": priority,
            "last_used_at": last_used_at,
            "digest": digest,
            "limit": limit,
        }
        if upstream is not None:
            return [_blob(row) for row in self._database.find(_LOWEST_CHARGED, upstream=upstream, **page)]
        blobs, manifests = (
            self._database.find(statement, **page) for statement in (_LOWEST_BLOBS, _LOWEST_MANIFESTS)
        )
        return list(heapq.merge(map(_blob, blobs), map(_manifest, manifests), key=_place))[:limit]

    def candidates(self, digests: Sequence[Digest]) -> list[Candidate]:
        return [candidate for digest in digests for candidate in self._known(str(digest))]

    async def evict(self, victims: Sequence[Candidate]) -> list[Candidate]:
        return await self._database.change(lambda connection: _evict(connection, victims))

    async def advance(self, reached: float, spared: Sequence[Candidate]) -> None:
        def change(connection: Connection) -> None:
            raise_floor(connection, reached)
            count_uses(connection, [Use(known.digest, known.last_used_at, 0) for known in spared])

        await self._database.change(change)

    async def clean(self, after: int, before: float) -> int | None:
        return await self._database.change(lambda connection: _clean(connection, after, before))

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
    blobs = _unchanged(connection, _LAST_USES_OF_BLOBS, [each for each in victims if not each.is_manifest])
    manifests = _unchanged(
        connection, _LAST_USES_OF_MANIFESTS, [each for each in victims if each.is_manifest]
    )
    touched = _drop_blobs(connection, [str(blob.digest) for blob in blobs])
    for manifest in manifests:
        touched |= _drop_manifest(connection, {"gone": str(manifest.digest)})
    _execute_many(connection, _DROP_EMPTY, [{"holder": holder} for holder in touched])
    return blobs + manifests


def _unchanged(
    connection: Connection, last_uses: Select[*tuple[Any, ...]], victims: list[Candidate]
) -> list[Candidate]:
    digests = [str(victim.digest) for victim in victims]
    unchanged = set(map(tuple, connection.execute(last_uses, {"all_gone": digests})))
    return [victim for victim in victims if (str(victim.digest), victim.last_used_at) in unchanged]


def _drop_blobs(connection: Connection, digests: list[str]) -> set[int]:
    """Return the numbers of the repositories that may have nothing left."""
    holders = set(connection.execute(_HOLDERS_OF_BLOBS, {"all_gone": digests}).scalars())
    gone = [{"gone": digest} for digest in digests]
    _execute_many(connection, _DROP_BLOB, gone)
    _execute_many(connection, _DROP_LINKS, gone)
    return holders


def _drop_manifest(connection: Connection, key: dict[str, str]) -> set[int]:
    """Do as ``_drop_blobs`` does; one at a time, for two may be each other's only reason to keep a link."""
    holders = set(connection.execute(_HOLDERS_OF_MANIFEST, key).scalars())
    named = connection.execute(_NAMED, key).scalars().all()
    connection.execute(_DROP_MANIFEST, key)
    connection.execute(_DROP_TAGS, key)
    for holder in holders:
        connection.execute(_DROP_REFERRERS, key | {"holder": holder})
        _execute_many(connection, _DROP_LINK, [{"holder": holder, "named": blob} for blob in named])
    return holders


def _execute_many(connection: Connection, statement: Delete, rows: list[dict[str, Any]]) -> None:
    # Core reads an empty list as one row of defaults.
    if rows:
        connection.execute(statement, rows)


def _clean(connection: Connection, after: int, before: float) -> int | None:
    holder: int | None = connection.execute(_NEXT_REPOSITORY, {"holder": after}).scalar_one_or_none()
    if holder is not None:
        for drop in _DROP_STALE:
            connection.execute(drop, {"holder": holder, "before": before})
        connection.execute(_DROP_VACANT, {"holder": holder})
    return holder


def _give_back(connection: Connection) -> bool:
    before: int = connection.exec_driver_sql(_FREE_PAGES).scalar_one()
    if before < _PAGES_LEFT:
        return False
    for _ in range(_PAGES_LEFT):
        connection.exec_driver_sql(_GIVE_BACK)
    after: int = connection.exec_driver_sql(_FREE_PAGES).scalar_one()
    return after < before
