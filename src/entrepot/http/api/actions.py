"""Actions leave a line in the audit log: who did what, and whether it came about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from litestar.exceptions import HTTPException

from entrepot.errors import EntrepotError
from entrepot.http.api.names import moment
from entrepot.http.api.paging import TheRequest
from entrepot.http.api.parts import Parts
from entrepot.oci.reference import Repository
from entrepot.ports.audit import ActionEntry

__all__ = ["Detail", "recorded"]

Detail = dict[str, str | int | bool | None]


@contextmanager
def recorded(
    parts: Parts,
    request: TheRequest,
    action: str,
    *,
    upstream: str | None = None,
    repository: Repository | None = None,
    reference: str | None = None,
) -> Iterator[Detail]:
    """Record the action of a request when it is done or has failed; what is put into the detail as well."""
    detail: Detail = {}
    reason: str | None = "ended before it was done"
    try:
        yield detail
        reason = None
    except EntrepotError as failure:
        reason = str(failure)
        raise
    except HTTPException as refusal:
        reason = refusal.detail
        raise
    finally:
        entry = ActionEntry(
            time=moment(parts.clock.now()),
            action=action,
            remote=request.client.host if request.client is not None else None,
            user=request.user.name,
            user_agent=request.headers.get("user-agent"),
            upstream=repository.upstream if repository is not None else upstream,
            repository=repository.name if repository is not None else None,
            reference=reference,
            detail=detail or None,
            reason=reason,
        )
        parts.audit.record(entry)
