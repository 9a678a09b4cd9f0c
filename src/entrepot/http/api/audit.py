"""The audit log: who asked what of the cache, and who did what to it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from litestar import Response, get
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter
from msgspec import structs

from entrepot.http.api.faults import Fault, found
from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.paging import PageSize, TheRequest, link
from entrepot.http.api.parameters import Malformed
from entrepot.http.api.parts import Parts
from entrepot.http.api.problems import problems
from entrepot.oci.reference import Repository
from entrepot.policy.permission import Action
from entrepot.policy.routing import resolve, resolve_named, split_upstream
from entrepot.ports.audit import ActionEntry, AuditEvent, AuditQuery, InvalidCursor, RequestEntry

__all__ = ["HANDLERS"]

_NEXT = ResponseHeader(
    name="Link", description="The `next` page, where there is one.", documentation_only=True
)
Text = Annotated[str | None, QueryParameter(max_length=300)]
RepositoryName = Annotated[
    str | None,
    QueryParameter(
        max_length=300,
        description="The repository, its upstream before its name: `docker.io/library/alpine`. A name alone"
        " is of `upstream`, if that is given, or else of the default upstream.",
    ),
]
Caller = Annotated[str | None, QueryParameter(max_length=300, description="A user's name, or an address.")]
Event = Annotated[
    list[AuditEvent] | None,
    QueryParameter(
        description="`pull`: requests of manifests and blobs; `request`: all of them, probes and calls of"
        " this API too; `action`: what was done to the cache. Several may be given; without one, all come."
    ),
]
Since = Annotated[datetime | None, QueryParameter(description="Not before this time (RFC 3339).")]
Until = Annotated[datetime | None, QueryParameter(description="Not after this time.")]
Cursor = Annotated[str | None, QueryParameter(max_length=300, description="What the last page's link gave.")]


def read_query(
    *,
    caller: Caller = None,
    upstream: Text = None,
    repository: RepositoryName = None,
    event: Event = None,
    since: Since = None,
    until: Until = None,
) -> AuditQuery:
    """Read times without a zone as UTC, in which answers are written."""
    since, until = (one and one.replace(tzinfo=one.tzinfo or UTC) for one in (since, until))
    return AuditQuery(
        since=since,
        until=until,
        caller=caller,
        upstream=upstream,
        repository=repository,
        events=tuple(event or ()),
    )


@get(
    "/audit",
    opt=needs(Action.SEE),
    responses=problems(),
    response_headers=[_NEXT],
    dependencies={"wanted": Provide(read_query, sync_to_thread=False)},
    tags=["audit"],
)
async def list_audit(
    request: TheRequest,
    parts: TheParts,
    wanted: NamedDependency[AuditQuery],
    page_size: PageSize = 50,
    cursor: Cursor = None,
) -> Response[list[RequestEntry | ActionEntry]]:
    """List requests and actions, the newest first.

    Entries come while one looks, so pages have no numbers: each leads to the next, which may hold fewer.
    """
    try:
        page = await parts.audit.query(_resolved(wanted, parts), page_size, cursor)
    except InvalidCursor as invalid:
        raise Malformed(Fault(f"expected what a page's link gave, {found(cursor)}", "cursor")) from invalid
    headers = {} if page.cursor is None else {"Link": link(request, "next", cursor=page.cursor)}
    return Response(page.entries, headers=headers)


HANDLERS = [list_audit]


def _resolved(wanted: AuditQuery, parts: Parts) -> AuditQuery:
    """Ask for the repository that is meant by its name, as everywhere else, within ``upstream`` if given."""
    table, text = parts.sites.table, wanted.repository
    if text is None:
        return wanted
    named, name = split_upstream(text, table)
    is_within = named is None and wanted.upstream is not None
    meant = resolve(wanted.upstream, None, None, text, table) if is_within else resolve_named(text, table)
    if not isinstance(meant, Repository):  # Old entries may be of an upstream that is no more.
        return structs.replace(wanted, upstream=named or wanted.upstream, repository=name)
    if wanted.upstream not in (None, meant.upstream):
        return wanted  # Of two upstreams at once there is nothing.
    return structs.replace(wanted, upstream=meant.upstream, repository=meant.name)
