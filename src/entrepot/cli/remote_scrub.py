"""Has a running cache read its own content again: what ``entrepot verify`` does over the admin API."""

from __future__ import annotations

from collections.abc import AsyncIterator

from entrepot.cli.api_client import ApiClient, NotDone
from entrepot.engine.scrub import Finding, Kind, Verdict
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.ports.blobs import Pace

__all__ = ["RemoteScrub"]

_NOT_HERE = 404
_PATHS = {Kind.BLOB: "/blobs", Kind.MANIFEST: "/manifests"}


class RemoteScrub:
    """As ``Scrub``, of a cache that is called."""

    def __init__(self, api: ApiClient, pace: Pace) -> None:
        self._api = api
        self._pace = pace

    async def manifests(self) -> AsyncIterator[Finding]:
        # One that several repositories hold is read once.
        found: dict[Digest, None] = {}
        for row in self._api.rows("/repositories"):
            found |= dict.fromkeys(self._listed(Kind.MANIFEST, repository=row["repository"]))
        for digest in found:
            yield await self._verified(Kind.MANIFEST, digest)

    async def blobs(self) -> AsyncIterator[Finding]:
        for digest in self._listed(Kind.BLOB):
            yield await self._verified(Kind.BLOB, digest)

    async def repository(self, repository: Repository) -> AsyncIterator[Finding]:
        for kind in (Kind.MANIFEST, Kind.BLOB):
            for digest in self._listed(kind, repository=str(repository)):
                yield await self._verified(kind, digest)

    async def content(self, digest: Digest) -> AsyncIterator[Finding]:
        yield await self._verified(Kind.MANIFEST, digest)
        yield await self._verified(Kind.BLOB, digest)

    def _listed(self, kind: Kind, **query: object) -> list[Digest]:
        """Return all names at once: what is dropped meanwhile would move the rest to other pages."""
        try:
            return [Digest.parse(row["digest"]) for row in self._api.rows(_PATHS[kind], query)]
        except NotDone as failed:
            if failed.status != _NOT_HERE:
                raise
            return []

    async def _verified(self, kind: Kind, digest: Digest) -> Finding:
        try:
            told = self._api.call("POST", f"{_PATHS[kind]}/{digest}/verify")
        except NotDone as failed:
            if failed.status != _NOT_HERE:
                raise
            return Finding(kind, digest, Verdict.GONE)
        await self._pace(told["size"])
        return Finding(kind, digest, Verdict(told["verdict"]), told["size"], told["reason"] or "")
