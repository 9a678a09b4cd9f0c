"""Lists: of what is cached, and those that upstreams gave."""

from __future__ import annotations

import msgspec
from sqlalchemy import Integer, bindparam, exists, literal_column, select

from entrepot.metadata import schema
from entrepot.metadata.database import Database
from entrepot.metadata.repositories import SAME_REPOSITORY, named, within
from entrepot.metadata.upsert import insert_or_replace
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.ports.metadata import Listing

__all__ = ["SqlListings"]

_repositories = schema.repositories
_has_manifests = exists().where(schema.repository_manifests.c.repository_id == _repositories.c.id)
_limit = bindparam("limit", type_=Integer)
_no_offset = literal_column("0", Integer)  # Left out, it would become a parameter with a name of its own.
_PATHS = (
    select(_repositories.c.path)
    .where(_repositories.c.path > bindparam("after"), _has_manifests)
    .order_by(_repositories.c.path)
    .limit(_limit)
    .offset(_no_offset)
)
_NAMES = (
    select(_repositories.c.name)
    .where(
        _repositories.c.upstream == bindparam("upstream"),
        _repositories.c.name > bindparam("after"),
        _has_manifests,
    )
    .order_by(_repositories.c.name)
    .limit(_limit)
    .offset(_no_offset)
)

_CACHED_TAGS = (
    select(schema.tags.c.name, schema.tags.c.checked_at)
    .join(_repositories)
    .where(
        SAME_REPOSITORY,
        exists().where(
            schema.repository_manifests.c.repository_id == schema.tags.c.repository_id,
            schema.repository_manifests.c.digest == schema.tags.c.digest,
        ),
    )
    .order_by(schema.tags.c.name)
)

_TAGS = (
    select(schema.tag_listings.c.content, schema.tag_listings.c.checked_at)
    .join(_repositories)
    .where(SAME_REPOSITORY)
)
_REFERRERS = (
    select(schema.referrer_listings.c.content, schema.referrer_listings.c.checked_at)
    .join(_repositories)
    .where(SAME_REPOSITORY, schema.referrer_listings.c.subject == bindparam("subject"))
)

_KEEP_TAGS = insert_or_replace(schema.tag_listings, "content", "checked_at")
_KEEP_REFERRERS = insert_or_replace(schema.referrer_listings, "content", "checked_at")


class SqlListings:
    def __init__(self, database: Database) -> None:
        self._database = database

    def repositories(self, upstream: str | None, after: str, limit: int) -> list[str]:
        if upstream is None:
            rows = self._database.find(_PATHS, after=after, limit=limit)
        else:
            rows = self._database.find(_NAMES, upstream=upstream, after=after, limit=limit)
        return [name for (name,) in rows]

    def tags(self, repository: Repository) -> Listing | None:
        rows = self._database.find(_TAGS, **named(repository))
        return Listing(*rows[0]) if rows else None

    def cached_tags(self, repository: Repository) -> Listing | None:
        rows = self._database.find(_CACHED_TAGS, **named(repository))
        if not rows:
            return None
        return Listing(msgspec.json.encode([name for name, _ in rows]), min(checked for _, checked in rows))

    async def record_tags(self, repository: Repository, content: bytes, now: float) -> None:
        row = {"content": content, "checked_at": now}
        await self._database.note(within(repository, _KEEP_TAGS, row))

    def referrers(self, repository: Repository, subject: Digest) -> Listing | None:
        rows = self._database.find(_REFERRERS, subject=str(subject), **named(repository))
        return Listing(*rows[0]) if rows else None

    async def record_referrers(
        self, repository: Repository, subject: Digest, content: bytes, now: float
    ) -> None:
        row = {"subject": str(subject), "content": content, "checked_at": now}
        await self._database.note(within(repository, _KEEP_REFERRERS, row))
