"""Takes every request under /v2 to its handler."""

from __future__ import annotations

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
from entrepot.http.v2.destinations import (
    Destinations,
    ServerRoute,
    ToRepository,
    ToServer,
)
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
    TagsRoute,
    Unsupported,
)
from entrepot.policy.routing import NameInvalid, NoSuchUpstream

__all__ = ["Registry"]

_ALLOW = (b"allow", b"GET, HEAD")
_JSON = (b"content-type", b"application/json")


class Registry:
    """The pull side of the registry API."""

    def __init__(self, sites: Sites, manifests: Manifests, blobs: Blobs, lists: Lists) -> None:
        self._destinations = Destinations(sites)
        self._manifests = manifests
        self._blobs = blobs
        self._lists = lists

    async def answer(self, call: Call) -> None:
        """Answer a request, failures included."""
        try:
            match self._destinations.find(call):
                case ToRepository() as destination:
                    await self._answer_for_repository(call, destination)
                case ToServer(route, upstream):
                    await self._answer_for_server(call, route, upstream)
                case NameInvalid(name):
                    await reply_code(call, ErrorCode.NAME_INVALID, f"no repository can be called {name!r}")
                case NoSuchUpstream(host):
                    raise UnknownUpstream(
                        f"{host} is not an upstream of this cache:"
                        " add it under upstreams in its configuration"
                    )
                case unknown:
                    assert_never(unknown)
        except InvalidPageSize as failure:
            await reply_code(
                call, ErrorCode.PAGINATION_NUMBER_INVALID, f"n={failure} is no number of results"
            )
        except EntrepotError as failure:
            if call.status:
                raise
            await reply_failure(call, failure)

    async def _answer_for_repository(self, call: Call, destination: ToRepository) -> None:
        route = destination.route
        call.repository = repository = destination.repository
        call.reference = destination.reference
        match route:
            case ManifestRoute():
                call.kind = "manifest"
                await get_manifest(call, destination, route.reference, self._manifests)
            case BlobRoute():
                call.kind, call.digest = "blob", destination.reference
                await get_blob(call, repository, route.digest, self._blobs)
            case TagsRoute():
                call.kind = "tags"
                await list_tags(call, repository, route.name, self._lists)
            case ReferrersRoute():
                call.kind = "referrers"
                await list_referrers(call, repository, route.digest, self._lists)
            case _:
                assert_never(route)

    async def _answer_for_server(self, call: Call, route: ServerRoute, upstream: str | None) -> None:
        match route:
            case Base():
                await call.reply(200, [_JSON, *base_headers(call)], b"{}")
            case CatalogRoute():
                call.kind = "catalog"
                await list_repositories(call, upstream, self._lists)
            case Malformed(code, detail):
                await reply_code(call, code, detail)
            case Unsupported():
                detail = (
                    "this cache serves pulls: push to the registry itself, or delete there;"
                    " entrepot purge lets go of what is cached"
                )
                await reply_code(call, ErrorCode.UNSUPPORTED, detail, [_ALLOW])
            case NotRegistry():
                await reply_code(call, ErrorCode.NAME_UNKNOWN, "the registry API is under /v2/")
            case _:
                assert_never(route)
