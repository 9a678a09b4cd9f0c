"""Where requests lead: remembered, because the same is asked again and again."""

from __future__ import annotations

from msgspec import Struct

from entrepot.engine.revalidation import Answer
from entrepot.engine.sites import Sites
from entrepot.http.call import Call
from entrepot.http.server.asgi import Headers
from entrepot.oci.reference import Repository
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
    parse_route,
)
from entrepot.policy.routing import NameInvalid, NoSuchUpstream, UpstreamTable, resolve, resolve_upstream
from entrepot.ports.metadata import StoredManifest

__all__ = [
    "Destination",
    "Destinations",
    "ReadyManifest",
    "RepositoryRoute",
    "ServerRoute",
    "ToRepository",
    "ToServer",
]

_MOST = 4_000
_LONGEST = 500

RepositoryRoute = ManifestRoute | BlobRoute | TagsRoute | ReferrersRoute
ServerRoute = Base | CatalogRoute | Malformed | Unsupported | NotRegistry


class ReadyManifest(Struct, frozen=True):
    """``generation``: the manifests' own when it was answered; in another it is not ready any more."""

    answer: Answer[StoredManifest]
    digest: str
    headers: Headers
    generation: int


class ToRepository(Struct):
    """``reference``: the tag or digest that is named, in the words of the log.

    ``ready``: the last answer that went there, as long as it may be given again.
    """

    route: RepositoryRoute
    repository: Repository
    reference: str | None
    ready: ReadyManifest | None = None


class ToServer(Struct, frozen=True):
    """``upstream``: the one that the request names, if any."""

    route: ServerRoute
    upstream: str | None = None


Destination = ToRepository | ToServer | NoSuchUpstream | NameInvalid


class Destinations:
    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._table = sites.table
        self._known: dict[tuple[str, bytes, bytes, str | None], Destination] = {}

    def find(self, call: Call) -> Destination:
        path, query, host = call.scope["raw_path"], call.scope["query_string"], call.header(b"host")
        if self._table is not self._sites.table or len(self._known) >= _MOST:
            self._table = self._sites.table
            self._known.clear()
        key = (call.method, path, query, host)
        destination = self._known.get(key)
        if destination is None:
            destination = _resolve(parse_route(call.method, path), call.query("ns"), host, self._table)
            if len(path) + len(query) + len(host or "") <= _LONGEST:
                self._known[key] = destination
        return destination


def _resolve(route: Route, namespace: str | None, host: str | None, table: UpstreamTable) -> Destination:
    match route:
        case ManifestRoute() | BlobRoute() | TagsRoute() | ReferrersRoute():
            repository = resolve(route.host, namespace, host, route.name, table)
            if not isinstance(repository, Repository):
                return repository
            return ToRepository(route, repository, _reference(route))
        case Base() | CatalogRoute():
            upstream = resolve_upstream(route.host, namespace, host, table)
            return upstream if isinstance(upstream, NoSuchUpstream) else ToServer(route, upstream)
        case _:
            return ToServer(route)


def _reference(route: RepositoryRoute) -> str | None:
    match route:
        case ManifestRoute():
            return str(route.reference)
        case BlobRoute() | ReferrersRoute():
            return str(route.digest)
        case TagsRoute():
            return None
