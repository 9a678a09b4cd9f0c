"""Content by its age and use, and who holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    CompoundSelect,
    Connection,
    Integer,
    Label,
    Row,
    bindparam,
    literal_column,
    select,
    tuple_,
    union_all,
)

from entrepot.metadata import schema
from entrepot.metadata.database import Database
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.policy.retention import Holder
from entrepot.ports.retention import Content

__all__ = ["SqlRetentionIndex"]

_blobs, _manifests, _repositories = schema.blobs, schema.manifests, schema.repositories
_digests: BindParameter[Sequence[str]] = bindparam("digests", expanding=True)


def _page(of_blobs: Column[float], of_manifests: Column[float]) -> CompoundSelect[Any]:
    """Make the page of all content in the order of a time, and of digests where times are equal.

    Both halves are ordered by an index, and merged: a page costs what is in it.
    """
    halves = []
    for time, fetched_at in ((of_blobs, _blobs.c.stored_at), (of_manifests, _manifests.c.fetched_at)):
        table = time.table.c
        after = tuple_(time, table.digest) > tuple_(bindparam("after_time"), bindparam("after_digest"))
        columns = (table.digest, fetched_at.label("fetched_at"), table.last_used_at, time.label("time"))
        halves.append(select(*columns).where(time <= bindparam("moment"), after))
    return union_all(*halves).order_by("time", "digest").limit(bindparam("limit", type_=Integer))


_UNUSED = _page(_blobs.c.last_used_at, _manifests.c.last_used_at)
_FETCHED = _page(_blobs.c.stored_at, _manifests.c.fetched_at)

_no_tag: Label[str | None] = literal_column("NULL").label("tag")
_HOLDERS = union_all(
    *(
        select(table.c.digest, _repositories.c.upstream, _repositories.c.name, _no_tag)
        .join_from(table, _repositories)
        .where(table.c.digest.in_(_digests))
        for table in (schema.repository_blobs, schema.repository_manifests)
    )
)

# Upwards: from content to the manifests that name it, to the indexes that name those, and so on.
_itself = select(_manifests.c.digest, _manifests.c.digest.label("manifest")).where(
    _manifests.c.digest.in_(_digests)
)
_leads = _itself.cte("leads", recursive=True)
_leads = _leads.union(
    select(schema.manifest_blobs.c.blob_digest, schema.manifest_blobs.c.manifest_digest).where(
        schema.manifest_blobs.c.blob_digest.in_(_digests)
    ),
    select(_leads.c.digest, schema.manifest_children.c.manifest_digest).join(
        schema.manifest_children, schema.manifest_children.c.child_digest == _leads.c.manifest
    ),
)
_TAGS = (
    select(_leads.c.digest, _repositories.c.upstream, _repositories.c.name, schema.tags.c.name)
    .join_from(_leads, schema.tags, schema.tags.c.digest == _leads.c.manifest)
    .join(_repositories)
)


class SqlRetentionIndex:
    """Implements ``ports.retention.RetentionIndex``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def unused_since(self, moment: float, after: Content | None, limit: int) -> list[Content]:
        beyond = -inf if after is None else after.last_used_at
        return await self._content(_UNUSED, moment, (beyond, after), limit)

    async def fetched_before(self, moment: float, after: Content | None, limit: int) -> list[Content]:
        beyond = -inf if after is None else after.fetched_at
        return await self._content(_FETCHED, moment, (beyond, after), limit)

    async def holders_of(
        self, digests: Sequence[Digest], *, with_tags: bool
    ) -> Mapping[Digest, Sequence[Holder]]:
        given = {"digests": [str(digest) for digest in digests]}
        statements = (_HOLDERS, _TAGS) if with_tags else (_HOLDERS,)

        def look_up(connection: Connection) -> list[Row[*tuple[Any, ...]]]:
            return [row for statement in statements for row in connection.execute(statement, given)]

        found: dict[Digest, dict[Repository, list[str]]] = {}
        for digest, upstream, name, tag in await self._database.change(look_up):
            tags = found.setdefault(Digest.parse(digest), {}).setdefault(Repository(upstream, name), [])
            tags += [tag] if tag is not None else []
        return {
            digest: [Holder(repository, tuple(tags)) for repository, tags in holders.items()]
            for digest, holders in found.items()
        }

    async def _content(
        self, page: CompoundSelect[Any], moment: float, beyond: tuple[float, Content | None], limit: int
    ) -> list[Content]:
        time, after = beyond
        digest = "" if after is None else str(after.digest)
        values = {"moment": moment, "after_time": time, "after_digest": digest, "limit": limit}
        rows = await self._database.change(lambda connection: connection.execute(page, values).all())
        return [Content(Digest.parse(name), fetched, used) for name, fetched, used, _ in rows]
