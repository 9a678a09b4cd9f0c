"""Who asked what of the cache, and who did what to it: recorded, and found again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

__all__ = [
    "ActionEntry",
    "AlikeEntries",
    "AuditEntry",
    "AuditEvent",
    "AuditLog",
    "AuditPage",
    "AuditQuery",
    "InvalidCursor",
    "RequestEntry",
]


AuditEvent = Literal["pull", "request", "action"]
"""A pull is a request, a GET or HEAD of a manifest or a blob, as the distribution-spec has it."""


class InvalidCursor(ValueError):
    """The text is no cursor that a page has given."""


class RequestEntry(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="request", gc=False
):
    """A request and how it was answered.

    ``remote`` is the client's address.  ``reference`` is what was asked for, ``digest`` the
    content that it meant.  ``size`` counts the bytes of body sent; ``cache`` says how the
    cache fared: hit, stale, miss...  ``reason`` tells why the answer is an error, or broke off.
    """

    time: datetime
    remote: str
    user: str | None = None
    user_agent: str | None = None
    method: str
    path: str
    upstream: str | None = None
    repository: str | None = None
    reference: str | None = None
    digest: str | None = None
    status: int
    size: int
    duration_seconds: float
    cache: str | None = None
    reason: str | None = None


class ActionEntry(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="action"):
    """What an administrator, or a job on a schedule, did to the cache.

    ``action`` is a fixed word (``purge``, ``pin``); ``detail`` has what else it was told.
    ``reason`` tells why it failed; ``None`` for one that was done.
    """

    time: datetime
    action: str
    remote: str | None = None
    user: str | None = None
    user_agent: str | None = None
    upstream: str | None = None
    repository: str | None = None
    reference: str | None = None
    digest: str | None = None
    detail: dict[str, str | int | bool | None] | None = None
    reason: str | None = None


AuditEntry = RequestEntry | ActionEntry


class AuditQuery(Struct, frozen=True, kw_only=True):
    """What entries are wanted; ``None`` stands for any.

    ``since`` and ``until`` are inclusive and aware of their time zone.  ``caller`` is a user's
    name or an address; of ``events`` one is enough.
    """

    since: datetime | None = None
    until: datetime | None = None
    caller: str | None = None
    upstream: str | None = None
    repository: str | None = None
    events: tuple[AuditEvent, ...] = ()


class AuditPage(Struct, frozen=True):
    """``cursor`` leads to the next page, which may hold fewer entries, even none; ``None`` at the end."""

    entries: list[AuditEntry]
    cursor: str | None


class AlikeEntries(Protocol):
    """Records requests that differ in ``time``, ``remote`` and ``duration_seconds`` only."""

    def record(self, now: float, remote: str, durations: Sequence[float]) -> None:
        """Take those of one client that ended at one time, in epoch seconds, as the log takes entries."""
        ...


class AuditLog(Protocol):
    def record(self, *entries: AuditEntry) -> None:
        """Take entries, at once and without failing: what cannot be written is counted."""
        ...

    def alike(self, entry: RequestEntry) -> AlikeEntries:
        """Prepare for more requests like this one, which take a fraction of the time then."""
        ...

    async def query(self, query: AuditQuery, limit: int, cursor: str | None = None) -> AuditPage:
        """Return up to ``limit`` entries, the newest first, going on where ``cursor`` says.

        Raises ``InvalidCursor``, and ``StoreFailed`` where the entries cannot be read.
        """
        ...
