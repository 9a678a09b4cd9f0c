"""Purging: tags, repositories or whole upstreams, after a look at what that would take."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from litestar import Response, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from entrepot.http.api.actions import recorded
from entrepot.http.api.etags import IfMatch, check_match, tagged
from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.paging import TheRequest
from entrepot.http.api.problems import problems
from entrepot.oci.digest import Digest
from entrepot.policy.permission import Action
from entrepot.policy.selection import Selection
from entrepot.ports.catalogue import Purged

__all__ = ["HANDLERS"]

_MOST_SHOWN = 100
_PATTERN = Meta(min_length=1, max_length=300, extra={"words": "a name or a pattern of names, as library/*"})
Pattern = Annotated[str, _PATTERN]


class Purge(Struct, forbid_unknown_fields=True):
    """What to let go: `repositories` is a pattern of their names (`library/*`), of one `upstream` or all.

    `tags` is a pattern too (`nightly-*`); without it whole repositories go. A name alone means itself.
    """

    repositories: Pattern
    upstream: Pattern | None = None
    tags: Pattern | None = None
    dry_run: bool = True


class PurgeReport(Struct):
    """How much it was, or would be; `size`: bytes of the blobs that nothing needs any more.

    `repositories` are those that it is of: without `tags` they go whole, with them they stay.

    `names` are the first hundred of what went, tags as `repository:tag`.
    """

    dry_run: bool
    repositories: int
    tags: int
    manifests: int
    blobs: int
    size: int
    names: list[str]


@post(
    "/purge",
    opt=needs(Action.PURGE),
    responses=problems(412),
    tags=["purge"],
    status_code=200,
)
async def purge(
    request: TheRequest, data: JSONBody[Purge], parts: TheParts, if_match: IfMatch = None
) -> Response[PurgeReport]:
    """Let go of cached content: the next pull fetches it again.

    A dry run, the default, tells what would go and changes nothing. Its ETag, given as `If-Match` with
    `dry_run` false, purges just that, or nothing if there is something else by now.
    """
    selection = Selection(data.repositories, data.upstream, data.tags)
    if if_match is not None:
        check_match(if_match, await _version(await parts.purging.purge(selection, dry_run=True)))
    if data.dry_run:
        purged = await parts.purging.purge(selection, dry_run=True)
    else:
        with recorded(parts, request, "purge", upstream=data.upstream) as detail:
            detail |= {"repositories": data.repositories, "tags": data.tags}
            purged = await parts.purging.purge(selection, dry_run=False)
    return tagged(_report(purged, dry_run=data.dry_run), await _version(purged))


HANDLERS = [purge]


async def _version(purged: Purged) -> str:
    """Hash what goes: a million names take longer than others may wait."""
    return str(await asyncio.to_thread(lambda: Digest.of(msgspec.json.encode(purged))))


def _report(purged: Purged, *, dry_run: bool) -> PurgeReport:
    names = [f"{repository}:{tag}" for repository, tag in purged.tags[:_MOST_SHOWN]]
    return PurgeReport(
        dry_run=dry_run,
        repositories=len(purged.repositories),
        tags=len(purged.tags),
        manifests=len(purged.manifests),
        blobs=len(purged.blobs),
        size=sum(size for _, size in purged.blobs),
        names=names or [str(repository) for repository in purged.repositories[:_MOST_SHOWN]],
    )
