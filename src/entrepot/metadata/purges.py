"""Letting go of what was chosen, and of all that only it led to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from sqlalchemy import Connection, Delete, Executable, Integer, Text, bindparam, delete, exists, select

from entrepot.metadata import schema
from entrepot.metadata.database import Database
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.ports.catalogue import Purged

__all__ = ["SqlPurges"]

_repositories, _tags = schema.repositories, schema.tags
_held, _linked, _children = schema.repository_manifests, schema.repository_blobs, schema.manifest_children
_here = bindparam("here", type_=Integer)
_those = bindparam("those", type_=Text, expanding=True)
_MOST_AT_ONCE = 500
"""Names that a statement is given: one each costs ten times as much, and there may be a million."""

_ALL = select(_repositories.c.id, _repositories.c.upstream, _repositories.c.name).order_by(
    _repositories.c.path
)
_TAGS = select(_tags.c.name, _tags.c.digest).where(_tags.c.repository_id == _here).order_by(_tags.c.name)
_MANIFESTS = select(_held.c.digest).where(_held.c.repository_id == _here).order_by(_held.c.digest)
_LINKS = select(_linked.c.digest).where(_linked.c.repository_id == _here)
_CHILDREN = (
    select(_children.c.manifest_digest, _children.c.child_digest)
    .join(_held, _held.c.digest == _children.c.manifest_digest)
    .where(_held.c.repository_id == _here)
)
_NAMED = select(schema.manifest_blobs.c.blob_digest).where(
    schema.manifest_blobs.c.manifest_digest.in_(_those)
)
_LONGEST_PURGE = 600.0
"""Seconds: whoever gave up on it would not learn what is gone all the same."""

_FORGET_REPOSITORY = delete(_repositories).where(_repositories.c.id == _here)
_FORGET_TAGS = delete(_tags).where(_tags.c.repository_id == _here, _tags.c.name.in_(_those))
_LET_GO = delete(_held).where(_held.c.repository_id == _here, _held.c.digest.in_(_those))
_FORGET_LISTS = tuple(
    delete(table).where(table.c.repository_id == _here)
    for table in (schema.tag_listings, schema.referrer_listings)
)
# A blob that another manifest of the repository names is still the repository's.
_UNLINK = delete(_linked).where(
    _linked.c.repository_id == _here,
    _linked.c.digest.in_(_those),
    ~exists().where(
        schema.manifest_blobs.c.blob_digest == _linked.c.digest,
        _held.c.digest == schema.manifest_blobs.c.manifest_digest,
        _held.c.repository_id == _linked.c.repository_id,
    ),
)
_FORGET_MANIFESTS = delete(schema.manifests).where(
    schema.manifests.c.digest.in_(_those),
    ~exists().where(_held.c.digest == schema.manifests.c.digest),
)
_FORGET_BLOBS = (
    delete(schema.blobs)
    .where(schema.blobs.c.digest.in_(_those), ~exists().where(_linked.c.digest == schema.blobs.c.digest))
    .returning(schema.blobs.c.digest, schema.blobs.c.size)
)


class _Tally(Struct, frozen=True):
    """What was let go so far; ``blobs`` may still be held by repositories that were not chosen."""

    repositories: list[Repository] = field(default_factory=list)
    tags: list[tuple[Repository, str]] = field(default_factory=list)
    manifests: list[tuple[Repository, Digest]] = field(default_factory=list)
    blobs: set[str] = field(default_factory=set)


class SqlPurges:
    """Implements ``ports.catalogue.Purges``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def purge(
        self,
        repositories: Callable[[Repository], bool],
        tags: Callable[[str], bool] | None,
        *,
        dry_run: bool,
    ) -> Purged:
        tally, freed = _Tally(), list[tuple[Digest, int]]()

        def change(connection: Connection) -> None:
            # A dry run is a real one that is undone, so that it promises what will happen.
            attempt = connection.begin_nested()
            for number, upstream, name in connection.execute(_ALL).all():
                if repositories(repository := Repository(upstream, name)):
                    _purge(connection, number, repository, tags, tally)
            freed.extend(_forget_unheld(connection, tally))
            if dry_run:
                attempt.rollback()

        await self._database.change(change, _LONGEST_PURGE)
        return Purged(tally.repositories, tally.tags, tally.manifests, freed)


def _purge(
    connection: Connection,
    here: int,
    repository: Repository,
    tags: Callable[[str], bool] | None,
    tally: _Tally,
) -> None:
    known = {tag: str(digest) for tag, digest in connection.execute(_TAGS, {"here": here})}
    chosen = [tag for tag in known if tags is None or tags(tag)]
    if tags is None:
        manifests = _all_of(connection, here, tally)
    elif chosen:
        manifests = _only_of(connection, here, known, chosen)
        _forget_tags(connection, here, chosen, manifests, tally)
    else:
        return
    tally.repositories.append(repository)
    tally.tags.extend((repository, tag) for tag in chosen)
    tally.manifests.extend((repository, Digest.parse(manifest)) for manifest in manifests)


def _all_of(connection: Connection, here: int, tally: _Tally) -> list[str]:
    """Forget a whole repository; return the manifests that it held."""
    manifests = list(connection.execute(_MANIFESTS, {"here": here}).scalars())
    tally.blobs.update(connection.execute(_LINKS, {"here": here}).scalars())
    connection.execute(_FORGET_REPOSITORY, {"here": here})
    return manifests


def _only_of(connection: Connection, here: int, known: Mapping[str, str], chosen: Sequence[str]) -> list[str]:
    """Find the manifests that nothing but the chosen tags leads to."""
    children = defaultdict[str, list[str]](list)
    for parent, child in connection.execute(_CHILDREN, {"here": here}):
        children[parent].append(child)
    manifests = list(connection.execute(_MANIFESTS, {"here": here}).scalars())
    led_to = _closure([known[tag] for tag in chosen], children)
    others = [known[tag] for tag in known.keys() - set(chosen)]
    kept = _closure([*others, *(one for one in manifests if one not in led_to)], children)
    return [one for one in manifests if one in led_to and one not in kept]


def _closure(roots: Sequence[str], children: Mapping[str, list[str]]) -> set[str]:
    reached, todo = set[str](), list(roots)
    while todo:
        digest = todo.pop()
        if digest not in reached:
            reached.add(digest)
            todo += children.get(digest, ())
    return reached


def _forget_tags(
    connection: Connection, here: int, tags: Sequence[str], manifests: Sequence[str], tally: _Tally
) -> None:
    _execute(connection, _FORGET_TAGS, tags, here=here)
    for statement in _FORGET_LISTS:
        connection.execute(statement, {"here": here})
    blobs = {blob for (blob,) in _rows(connection, _NAMED, manifests)}
    _execute(connection, _LET_GO, manifests, here=here)
    _execute(connection, _UNLINK, blobs, here=here)
    tally.blobs.update(blobs)


def _forget_unheld(connection: Connection, tally: _Tally) -> Iterator[tuple[Digest, int]]:
    """Forget what no repository holds any more; yield the blobs that were stored, with their sizes."""
    _execute(connection, _FORGET_MANIFESTS, {str(digest) for _, digest in tally.manifests})
    for blob, size in _rows(connection, _FORGET_BLOBS, tally.blobs):
        yield Digest.parse(blob), size


def _execute(connection: Connection, statement: Delete, names: Collection[str], **others: int) -> None:
    for those in _parts(names):
        connection.execute(statement, {"those": those, **others})


def _rows(connection: Connection, statement: Executable, names: Collection[str]) -> Iterator[Any]:
    for those in _parts(names):
        yield from sorted(connection.execute(statement, {"those": those}).all())


def _parts(names: Collection[str]) -> Iterator[list[str]]:
    """Part names in their order, so that the same are told in the same order again."""
    ordered = sorted(names)
    for first in range(0, len(ordered), _MOST_AT_ONCE):
        yield ordered[first : first + _MOST_AT_ONCE]
