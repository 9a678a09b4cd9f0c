"""What is noted of a request that has been answered: in the metrics, and in the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from entrepot.http.call import Call
from entrepot.ports.audit import AlikeEntries, AuditLog, RequestEntry
from entrepot.ports.clock import Clock
from entrepot.telemetry.metrics import Metrics
from entrepot.telemetry.requests import RequestTally

__all__ = ["AlikeNotes", "Notes"]

_GATHER_SECONDS = 0.005
_EPOCH = datetime.fromtimestamp(0, UTC)


class Notes:
    """``audit`` is ``None`` where nobody asks for it.

    What ends within a turn of the event loop is recorded together, and what is alike within some
    milliseconds: that costs half of one at a time.
    """

    def __init__(self, metrics: Metrics, audit: AuditLog | None, clock: Clock) -> None:
        self._metrics = metrics
        self._audit = audit
        self._clock = clock
        self._ended: list[tuple[Call, float]] = []
        self._alike: list[AlikeNotes] = []

    def take(self, call: Call, seconds: float) -> None:
        self._tally(call).add(seconds, _content(call))
        if self._audit is not None:
            if not self._ended:
                asyncio.get_running_loop().call_soon(self.flush)
            self._ended.append((call, seconds))

    def alike(self, call: Call) -> AlikeNotes:
        """Prepare for more requests that are answered as this one was."""
        entries = None if self._audit is None else self._audit.alike(_entry(call, 0.0, _EPOCH))
        return AlikeNotes(self._tally(call), _content(call), entries, self._await_flush)

    def flush(self) -> None:
        """Record what was noted; what is alike was so before the rest."""
        if self._audit is None:
            return
        now = self._clock.now()
        alike, self._alike = self._alike, []
        for notes in alike:
            notes.record(now)
        ended, self._ended = self._ended, []
        if ended:
            time = datetime.fromtimestamp(now, UTC)
            self._audit.record(*(_entry(call, seconds, time) for call, seconds in ended))

    def _await_flush(self, notes: AlikeNotes) -> None:
        if self._ended:
            self.flush()  # So that lines are in the order in which requests ended.
        if not self._alike:
            asyncio.get_running_loop().call_later(_GATHER_SECONDS, self.flush)
        self._alike.append(notes)

    def _tally(self, call: Call) -> RequestTally:
        upstream = call.repository.upstream if call.repository is not None else ""
        outcome = call.cache or ("error" if call.status >= 400 else "none")
        return self._metrics.request(upstream, call.kind, outcome, call.status)


class AlikeNotes:
    """Notes of requests that differ in who asked, when, and how long it took, and in nothing else."""

    __slots__ = ("_await_flush", "_content", "_durations", "_entries", "_tally")

    def __init__(
        self,
        tally: RequestTally,
        content: int,
        entries: AlikeEntries | None,
        await_flush: Callable[[AlikeNotes], None],
    ) -> None:
        self._tally = tally
        self._content = content
        self._entries = entries
        self._await_flush = await_flush
        self._durations: dict[str, list[float]] = {}

    def take(self, remote: str, seconds: float) -> None:
        self._tally.add(seconds, self._content)
        if self._entries is not None:
            durations = self._durations.get(remote)
            if durations is None:
                durations = self._begin(remote)
            durations.append(seconds)

    def record(self, now: float) -> None:
        """Record what was taken since the last time."""
        durations, self._durations = self._durations, {}
        if self._entries is not None:
            for remote, seconds in durations.items():
                self._entries.record(now, remote, seconds)

    def _begin(self, remote: str) -> list[float]:
        if not self._durations:
            self._await_flush(self)
        durations: list[float] = []
        self._durations[remote] = durations
        return durations


def _content(call: Call) -> int:
    """Return the bytes of content that were sent; what an error says is none."""
    return call.sent_bytes if call.status < 400 else 0


def _entry(call: Call, seconds: float, time: datetime) -> RequestEntry:
    scope, repository = call.scope, call.repository
    return RequestEntry(
        time=time,
        remote=scope["client"][0],
        user=call.user,
        user_agent=call.header(b"user-agent"),
        method=call.method,
        path=scope["path"],
        upstream=repository.upstream if repository is not None else None,
        repository=repository.name if repository is not None else None,
        reference=call.reference,
        digest=call.digest,
        status=call.status,
        size=call.sent_bytes,
        duration_seconds=int(seconds * 1e6) / 1e6,
        cache=call.cache,
        reason=call.reason,
    )
