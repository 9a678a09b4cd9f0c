"""All that is known of content, page by page, for whoever goes through it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, bindparam, delete, func, literal_column, select

from entrepot.metadata import schema
from entrepot.metadata.database import Database
from entrepot.metadata.repositories import SAME_REPOSITORY, named
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository

__all__ = ["SqlContents"]


def _page(rows: Select[tuple[str]], digest: ColumnElement[str]) -> Select[tuple[str]]:
    page = rows.where(digest > bindparam("after")).order_by(digest).limit(bindparam("limit", type_=Integer))
    return page.offset(literal_column("0", Integer))  # Left out, it would become a parameter of its own name.


def _held(links: Any) -> Select[tuple[str]]:
    return _page(select(links.c.digest).join(schema.repositories).where(SAME_REPOSITORY), links.c.digest)


_MANIFESTS = _page(select(schema.manifests.c.digest), schema.manifests.c.digest)
_MANIFESTS_OF = _held(schema.repository_manifests)
_BLOBS_OF = _held(schema.repository_blobs)
_CONTENT = select(schema.manifest_contents.c.content).where(
    schema.manifest_contents.c.manifest_digest == bindparam("digest")
)
_STORED_BYTES = select(func.sum(schema.blobs.c.size))
_UPSTREAMS = select(schema.repositories.c.upstream).distinct().order_by(schema.repositories.c.upstream)
_FORGET_MANIFEST = delete(schema.manifests).where(schema.manifests.c.digest == bindparam("forgotten"))


class SqlContents:
    """Implements ``ports.metadata.Contents``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def manifests_after(self, digest: Digest | None, limit: int) -> list[Digest]:
        return self._digests(_MANIFESTS, digest, limit)

    def manifests_of(self, repository: Repository, after: Digest | None, limit: int) -> list[Digest]:
        return self._digests(_MANIFESTS_OF, after, limit, **named(repository))

    def blobs_of(self, repository: Repository, after: Digest | None, limit: int) -> list[Digest]:
        return self._digests(_BLOBS_OF, after, limit, **named(repository))

    def content(self, digest: Digest) -> bytes | None:
        rows = self._database.find(_CONTENT, digest=str(digest))
        return rows[0][0] if rows else None

    async def forget_manifest(self, digest: Digest) -> None:
        await self._database.execute(_FORGET_MANIFEST, {"forgotten": str(digest)})

    def stored_bytes(self) -> int:
        return self._database.find(_STORED_BYTES)[0][0] or 0

    def upstreams(self) -> list[str]:
        return [name for (name,) in self._database.find(_UPSTREAMS)]

    def _digests(
        self, page: Select[tuple[str]], after: Digest | None, limit: int, **names: str
    ) -> list[Digest]:
        beyond = "" if after is None else str(after)
        return [
            self._database.digest(text)
            for (text,) in self._database.find(page, after=beyond, limit=limit, **names)
        ]
