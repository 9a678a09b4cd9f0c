"""Manifests, the tags that mean them, and what they link to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Insert, bindparam, delete, func, select

from entrepot.metadata import schema
from entrepot.metadata.blobs import column_size
from entrepot.metadata.charges import charge
from entrepot.metadata.database import Database
from entrepot.metadata.priorities import first_priority
from entrepot.metadata.repositories import SAME_REPOSITORY, named, repository_id, within
from entrepot.metadata.upsert import insert_or_keep, insert_or_replace, insert_or_set
from entrepot.oci.digest import Digest
from entrepot.oci.manifest import ManifestLinks
from entrepot.oci.reference import Repository
from entrepot.oci.schema1 import names_manifest
from entrepot.ports.metadata import StoredManifest, TagRecord
from entrepot.telemetry.log import log

__all__ = ["SqlManifestIndex"]

_MANIFEST_ANYWHERE = (
    select(schema.repository_manifests.c.media_type, schema.manifest_contents.c.content)
    .join_from(
        schema.repository_manifests,
        schema.manifest_contents,
        schema.manifest_contents.c.manifest_digest == schema.repository_manifests.c.digest,
    )
    .where(schema.repository_manifests.c.digest == bindparam("digest"))
)
_MANIFEST = _MANIFEST_ANYWHERE.join(
    schema.repositories, schema.repositories.c.id == schema.repository_manifests.c.repository_id
).where(SAME_REPOSITORY)
# Begins with the content, so that the digest of a manifest nobody holds costs one look-up.
_CHILD = (
    select(schema.manifest_children.c.media_type, schema.manifest_contents.c.content)
    .join_from(
        schema.manifest_contents,
        schema.manifest_children,
        schema.manifest_children.c.child_digest == schema.manifest_contents.c.manifest_digest,
    )
    .join(
        schema.repository_manifests,
        schema.repository_manifests.c.digest == schema.manifest_children.c.manifest_digest,
    )
    .join(schema.repositories, schema.repositories.c.id == schema.repository_manifests.c.repository_id)
    .where(
        SAME_REPOSITORY,
        schema.manifest_contents.c.manifest_digest == bindparam("digest"),
        schema.manifest_children.c.media_type.is_not(None),
    )
)
_TAG = (
    select(schema.tags.c.digest, schema.tags.c.checked_at)
    .join(schema.repositories)
    .where(SAME_REPOSITORY, schema.tags.c.name == bindparam("tag"))
)

_KEEP_MANIFEST = insert_or_keep(schema.manifests)
# Replaced, for what is there may have gone bad.
_KEEP_CONTENT = insert_or_replace(schema.manifest_contents, "content")
_HOLD_MANIFEST = insert_or_replace(schema.repository_manifests, "media_type")
_LINK_BLOB = insert_or_keep(schema.manifest_blobs)
_LINK_CHILD = insert_or_replace(schema.manifest_children, "media_type")

# What a manifest says of a blob's size is its author's claim: it does not replace what is known.
_HOLD_BLOB = insert_or_set(
    schema.repository_blobs,
    lambda offered: {"size": func.coalesce(schema.repository_blobs.c.size, offered.size)},
)

_KEEP_TAG = insert_or_replace(schema.tags, "digest", "checked_at")
_FORGET_TAG = delete(schema.tags).where(
    schema.tags.c.repository_id.in_(select(schema.repositories.c.id).where(SAME_REPOSITORY)),
    schema.tags.c.name == bindparam("tag"),
)


class SqlManifestIndex:
    def __init__(self, database: Database) -> None:
        self._database = database

    def manifest(self, repository: Repository, digest: Digest) -> StoredManifest | None:
        rows = self._database.find(_MANIFEST, digest=str(digest), **named(repository))
        return _right(digest, rows)

    def child(self, repository: Repository, digest: Digest) -> StoredManifest | None:
        rows = self._database.find(_CHILD, digest=str(digest), **named(repository))
        return _right(digest, rows)

    def manifest_anywhere(self, digest: Digest) -> StoredManifest | None:
        rows = self._database.find(_MANIFEST_ANYWHERE, digest=str(digest))
        return _right(digest, rows)

    def tag(self, repository: Repository, tag: str) -> TagRecord | None:
        rows = self._database.find(_TAG, tag=tag, **named(repository))
        return TagRecord(self._database.digest(rows[0][0]), rows[0][1]) if rows else None

    async def record_manifest(
        self, repository: Repository, manifest: StoredManifest, links: ManifestLinks, now: float
    ) -> None:
        def change(connection: Connection) -> None:
            _keep(connection, manifest, links, now)
            _hold(connection, repository, manifest, links)

        await self._database.note(change)

    async def record_tag(self, repository: Repository, tag: str, digest: Digest, now: float) -> None:
        row = {"name": tag, "digest": str(digest), "checked_at": now}
        await self._database.note(within(repository, _KEEP_TAG, row))

    async def forget_tag(self, repository: Repository, tag: str) -> None:
        key = named(repository) | {"tag": tag}
        await self._database.execute(_FORGET_TAG, key)


def _right(digest: Digest, rows: list[tuple[Any, ...]]) -> StoredManifest | None:
    """Return the manifest of a row, unless the disk has changed it: then it is to be fetched again."""
    if not rows:
        return None
    media_type, content = rows[0]
    if not names_manifest(digest, content):
        log.error("manifest_damaged", digest=str(digest), action="to be fetched again")
        return None
    return StoredManifest(digest, media_type, content)


def _keep(connection: Connection, manifest: StoredManifest, links: ManifestLinks, now: float) -> None:
    """Keep what is true of the manifest in every repository."""
    digest = str(manifest.digest)
    row = {
        "digest": digest,
        "size": len(manifest.content),
        "subject": str(links.subject.digest) if links.subject else None,
        "fetched_at": now,
        "last_used_at": now,
        "priority": first_priority(connection, len(manifest.content)),
    }
    connection.execute(_KEEP_MANIFEST, row)
    connection.execute(_KEEP_CONTENT, {"manifest_digest": digest, "content": manifest.content})
    blobs = [{"manifest_digest": digest, "blob_digest": str(blob.digest)} for blob in links.blobs]
    _execute_many(connection, _LINK_BLOB, blobs)
    children = [
        {"manifest_digest": digest, "child_digest": str(child.digest), "media_type": child.media_type}
        for child in links.children
    ]
    _execute_many(connection, _LINK_CHILD, children)


def _hold(
    connection: Connection, repository: Repository, manifest: StoredManifest, links: ManifestLinks
) -> None:
    """Keep that the repository holds the manifest and the blobs it names."""
    holder: dict[str, Any] = {"repository_id": repository_id(connection, repository)}
    held = {"digest": str(manifest.digest), "media_type": manifest.media_type}
    connection.execute(_HOLD_MANIFEST, holder | held)
    blobs = [holder | {"digest": str(blob.digest), "size": column_size(blob.size)} for blob in links.blobs]
    _execute_many(connection, _HOLD_BLOB, blobs)
    charge(connection, (blob.digest for blob in links.blobs))


def _execute_many(connection: Connection, statement: Insert, rows: list[dict[str, Any]]) -> None:
    # Core reads an empty list as one row of defaults.
    if rows:
        connection.execute(statement, rows)
