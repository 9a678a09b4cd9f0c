"""Takes every request under /v2 to its handler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from entrepot.engine.blobs import Blobs
from entrepot.engine.listings import Lists
from entrepot.engine.manifests import Manifests
from entrepot.engine.sites import Sites
from entrepot.errors import EntrepotError, UnknownUpstream
from entrepot.http.call import Call
from entrepot.http.problems import reply_code, reply_failure
from entrepot.http.v2.answers import base_headers
from entrepot.http.v2.blobs import get_blob
from entrepot.http.v2.catalog import list_repositories
from entrepot.http.v2.manifests import get_manifest
from entrepot.http.v2.referrers import list_referrers
from entrepot.http.v2.tags import list_tags
from entrepot.oci.codes import ErrorCode
from entrepot.oci.pagination import InvalidPageSize
from entrepot.oci.route import (
    Base,
    BlobRoute,
    CatalogRoute,
    Malformed,
    ManifestRoute,
    NotRegistry,
    ReferrersRoute,
    Route,
    TagsRoute,
    Unsupported,
)
from entrepot.policy.routing import NameInvalid, NoSuchUpstream, resolve, resolve_upstream

__all__ = ["Registry"]

_ALLOW = (b"allow", b"GET, HEAD")

RepositoryRoute = ManifestRoute | BlobRoute | TagsRoute | ReferrersRoute


@dataclass(frozen=True, slots=True)
class Registry:
    """The pull side of the registry API."""

    sites: Sites
    manifests: Manifests
    blobs: Blobs
    lists: Lists

    async def answer(self, call: Call, route: Route) -> None:
        """Answer a request, failures included."""
        try:
            await self._dispatch(call, route)
        except InvalidPageSize as failure:
            await reply_code(
                call, ErrorCode.PAGINATION_NUMBER_INVALID, f"n={failure} is no number of results"
            )
        except EntrepotError as failure:
            if call.status:
                raise
            await reply_failure(call, failure)

    async def _dispatch(self, call: Call, route: Route) -> None:
        match route:
            case Base(host) | CatalogRoute(host):
                await self._answer_for_upstream(call, route, host)
            case Malformed(code, detail):
                await reply_code(call, code, detail)
            case Unsupported():
                detail = "this cache serves pulls: push to the registry itself"
                await reply_code(call, ErrorCode.UNSUPPORTED, detail, [_ALLOW])
            case NotRegistry():
                await reply_code(call, ErrorCode.NAME_UNKNOWN, "the registry API is under /v2/")
            case _:
                await self._answer_for_repository(call, route)

    async def _answer_for_upstream(self, call: Call, route: Base | CatalogRoute, host: str | None) -> None:
        upstream = resolve_upstream(host, call.query("ns"), call.header(b"host"), self.sites.table)
        if isinstance(upstream, NoSuchUpstream):
            raise _unknown(upstream)
        if isinstance(route, CatalogRoute):
            call.kind = "catalog"
            await list_repositories(call, upstream, self.lists)
        else:
            await call.reply(200, [(b"content-type", b"application/json"), *base_headers(call)], b"{}")

    async def _answer_for_repository(self, call: Call, route: RepositoryRoute) -> None:
        found = resolve(route.host, call.query("ns"), call.header(b"host"), route.name, self.sites.table)
        if isinstance(found, NoSuchUpstream):
            raise _unknown(found)
        if isinstance(found, NameInvalid):
            await reply_code(call, ErrorCode.NAME_INVALID, f"no repository can be called {found.name!r}")
            return
        call.repository = found
        match route:
            case ManifestRoute(_, reference):
                call.kind, call.reference = "manifest", str(reference)
                await get_manifest(call, found, reference, self.manifests)
            case BlobRoute(_, digest):
                call.kind, call.reference = "blob", str(digest)
                await get_blob(call, found, digest, self.blobs)
            case TagsRoute(name):
                call.kind = "tags"
                await list_tags(call, found, name, self.lists)
            case ReferrersRoute(_, subject):
                call.kind, call.reference = "referrers", str(subject)
                await list_referrers(call, found, subject, self.lists)
            case _:
                assert_never(route)


def _unknown(upstream: NoSuchUpstream) -> UnknownUpstream:
    return UnknownUpstream(
        f"{upstream.host} is not an upstream of this cache: add it under upstreams in its configuration"
    )
