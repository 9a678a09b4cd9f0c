"""Has a running cache read its own blobs again: what ``entrepot verify`` does over the admin API."""

from __future__ import annotations

from collections.abc import AsyncIterator

from entrepot.cli.api_client import ApiClient, NotDone
from entrepot.engine.scrub import Finding, Kind, Verdict
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.ports.blobs import Pace

__all__ = ["RemoteScrub"]

_NOT_HERE = 404


class RemoteScrub:
    """As ``Scrub``, for blobs alone: manifests lie in the database, which is not read over the API."""

    def __init__(self, api: ApiClient, pace: Pace) -> None:
        self._api = api
        self._pace = pace

    async def manifests(self) -> AsyncIterator[Finding]:
        none: tuple[Finding, ...] = ()
        for finding in none:
            yield finding

    async def blobs(self) -> AsyncIterator[Finding]:
        async for finding in self._verified({}):
            yield finding

    async def repository(self, repository: Repository) -> AsyncIterator[Finding]:
        try:
            async for finding in self._verified({"repository": str(repository)}):
                yield finding
        except NotDone as failed:
            if failed.status != _NOT_HERE:
                raise

    async def content(self, digest: Digest) -> AsyncIterator[Finding]:
        yield await self._blob(digest)

    async def _verified(self, query: dict[str, object]) -> AsyncIterator[Finding]:
        # All names first: what is dropped meanwhile would move the rest to other pages.
        for digest in [row["digest"] for row in self._api.rows("/blobs", query)]:
            yield await self._blob(Digest.parse(digest))

    async def _blob(self, digest: Digest) -> Finding:
        try:
            told = self._api.call("POST", f"/blobs/{digest}/verify")
        except NotDone as failed:
            if failed.status != _NOT_HERE:
                raise
            return Finding(Kind.BLOB, digest, Verdict.GONE)
        await self._pace(told["size"])
        return Finding(Kind.BLOB, digest, Verdict(told["verdict"]), told["size"], told["reason"] or "")
