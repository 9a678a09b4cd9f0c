"""What the cache holds, for people to look through: sorted, filtered, in numbered pages."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
)

from entrepot.metadata import schema
from entrepot.metadata.database import Database
from entrepot.metadata.repositories import SAME_REPOSITORY, named
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.ports.catalogue import Find, Found, HeldBlob, HeldManifest, HeldRepository, HeldTag

__all__ = ["SqlCatalogue"]

_Column = ColumnElement[Any]

# Written out, as every parameter of a statement is one that its caller gives.
_ZERO, _ANY = literal_column("0", Integer), literal_column("''", Text)

_repositories, _tags, _blobs, _manifests = schema.repositories, schema.tags, schema.blobs, schema.manifests
_held, _linked = schema.repository_manifests, schema.repository_blobs


class _Search:
    """A SELECT whose rows are counted, filtered by a text in ``named``, and paged in one of some orders.

    Rows that are equal in what they are sorted by come in the order of ``named``, so that pages
    have no gaps and no overlaps.
    """

    def __init__(self, statement: Select[*tuple[Any, ...]], named: _Column, **sorts: _Column) -> None:
        matching = statement.where(func.instr(named, bindparam("text", type_=Text)) > _ZERO)
        self._count = select(func.count()).select_from(matching.subquery())
        limit, offset = bindparam("limit", type_=Integer), bindparam("offset", type_=Integer)
        page = matching.limit(limit).offset(offset)
        self._pages = {name: page.order_by(column, named) for name, column in sorts.items()}
        self._pages |= {f"-{name}": page.order_by(column.desc(), named) for name, column in sorts.items()}

    async def run(self, database: Database, find: Find, **parameters: str) -> Found[tuple[Any, ...]]:
        ((total,),) = await database.survey(self._count, text=find.text, **parameters)
        numbers = {"limit": find.limit, "offset": find.offset}
        page = self._pages[find.sort]
        return Found(await database.survey(page, text=find.text, **numbers, **parameters), total)


def _number(query: Select[*tuple[Any, ...]], label: str) -> ColumnElement[Any]:
    return query.correlate(_repositories).scalar_subquery().label(label)


_tag_count = _number(
    select(func.count()).select_from(_tags).where(_tags.c.repository_id == _repositories.c.id), "tags"
)
_manifest_count = _number(
    select(func.count()).select_from(_held).where(_held.c.repository_id == _repositories.c.id), "manifests"
)
_stored_size = _number(
    select(func.coalesce(func.sum(_blobs.c.size), _ZERO))
    .join_from(_linked, _blobs, _blobs.c.digest == _linked.c.digest)
    .where(_linked.c.repository_id == _repositories.c.id),
    "size",
)
_last_use = _number(
    select(func.max(_manifests.c.last_used_at))
    .join_from(_held, _manifests, _manifests.c.digest == _held.c.digest)
    .where(_held.c.repository_id == _repositories.c.id),
    "last_used_at",
)

_REPOSITORIES = _Search(
    select(
        _repositories.c.upstream, _repositories.c.name, _tag_count, _manifest_count, _stored_size, _last_use
    ).where(
        exists().where(_held.c.repository_id == _repositories.c.id),
        or_(bindparam("upstream", type_=Text) == _ANY, _repositories.c.upstream == bindparam("upstream")),
    ),
    _repositories.c.path,
    repository=_repositories.c.path,
    size=_stored_size,
    last_used_at=_last_use,
)
_TAG = (
    select(_tags.c.name, _tags.c.digest, _tags.c.checked_at, _held.c.media_type, _manifests.c.size)
    .join_from(_tags, _repositories)
    .outerjoin(_held, and_(_held.c.repository_id == _repositories.c.id, _held.c.digest == _tags.c.digest))
    .outerjoin(_manifests, _manifests.c.digest == _held.c.digest)
    .where(SAME_REPOSITORY)
)
_TAGS = _Search(_TAG, _tags.c.name, tag=_tags.c.name, checked_at=_tags.c.checked_at)
_ONE_TAG = _TAG.where(_tags.c.name == bindparam("tag"))
_MANIFESTS = _Search(
    select(
        _manifests.c.digest,
        _held.c.media_type,
        _manifests.c.size,
        _manifests.c.fetched_at,
        _manifests.c.last_used_at,
        _manifests.c.uses,
    )
    .join_from(_held, _manifests, _manifests.c.digest == _held.c.digest)
    .join(_repositories, _repositories.c.id == _held.c.repository_id)
    .where(SAME_REPOSITORY),
    _manifests.c.digest,
    digest=_manifests.c.digest,
    size=_manifests.c.size,
    fetched_at=_manifests.c.fetched_at,
    last_used_at=_manifests.c.last_used_at,
)
_BLOB = select(_blobs.c.digest, _blobs.c.size, _blobs.c.stored_at, _blobs.c.last_used_at, _blobs.c.uses)
_BLOB_SORTS = {name: _blobs.c[name] for name in ("digest", "size", "stored_at", "last_used_at")}
_BLOBS = _Search(_BLOB, _blobs.c.digest, **_BLOB_SORTS)
_BLOBS_OF = _Search(
    _BLOB.join(_linked, _linked.c.digest == _blobs.c.digest)
    .join(_repositories, _repositories.c.id == _linked.c.repository_id)
    .where(SAME_REPOSITORY),
    _blobs.c.digest,
    **_BLOB_SORTS,
)
_ONE_BLOB = _BLOB.where(_blobs.c.digest == bindparam("digest"))
_HOLDERS = _Search(
    select(_repositories.c.upstream, _repositories.c.name)
    .join_from(_linked, _repositories, _repositories.c.id == _linked.c.repository_id)
    .where(_linked.c.digest == bindparam("digest")),
    _repositories.c.path,
    repository=_repositories.c.path,
)


class SqlCatalogue:
    """Implements ``ports.catalogue.Catalogue``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def held_repositories(self, find: Find, upstream: str | None = None) -> Found[HeldRepository]:
        found = await _REPOSITORIES.run(self._database, find, upstream=upstream or "")
        rows = [HeldRepository(Repository(host, name), *rest) for host, name, *rest in found.rows]
        return Found(rows, found.total)

    async def held_tags(self, repository: Repository, find: Find) -> Found[HeldTag]:
        found = await _TAGS.run(self._database, find, **named(repository))
        return Found([self._tag(row) for row in found.rows], found.total)

    async def held_tag(self, repository: Repository, tag: str) -> HeldTag | None:
        rows = await self._database.survey(_ONE_TAG, tag=tag, **named(repository))
        return self._tag(rows[0]) if rows else None

    async def held_manifests(self, repository: Repository, find: Find) -> Found[HeldManifest]:
        found = await _MANIFESTS.run(self._database, find, **named(repository))
        return Found(
            [HeldManifest(self._database.digest(text), *rest) for text, *rest in found.rows], found.total
        )

    async def held_blobs(self, find: Find, repository: Repository | None = None) -> Found[HeldBlob]:
        if repository is None:
            found = await _BLOBS.run(self._database, find)
        else:
            found = await _BLOBS_OF.run(self._database, find, **named(repository))
        return Found([self._blob(row) for row in found.rows], found.total)

    async def held_blob(self, digest: Digest) -> HeldBlob | None:
        rows = await self._database.survey(_ONE_BLOB, digest=str(digest))
        return self._blob(rows[0]) if rows else None

    async def holders(self, digest: Digest, find: Find) -> Found[Repository]:
        found = await _HOLDERS.run(self._database, find, digest=str(digest))
        return Found([Repository(*row) for row in found.rows], found.total)

    def _tag(self, row: tuple[Any, ...]) -> HeldTag:
        tag, digest, *rest = row
        return HeldTag(tag, self._database.digest(digest), *rest)

    def _blob(self, row: tuple[Any, ...]) -> HeldBlob:
        digest, *rest = row
        return HeldBlob(self._database.digest(digest), *rest)
