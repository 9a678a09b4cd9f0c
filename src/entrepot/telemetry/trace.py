"""Traces: what a request waited for, as spans with the request's own at their root (OpenTelemetry)."""

from __future__ import annotations

import random
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum

from msgspec import Struct

from entrepot.errors import EntrepotError

__all__ = ["Kind", "Span", "Tracing", "trace"]

Value = str | int | None

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_SAMPLED = 1


class Kind(IntEnum):
    """As in OpenTelemetry's ``Span.SpanKind``."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


class Span(Struct, eq=False):
    """Times are nanoseconds since the epoch.  Attributes that are ``None`` are not told."""

    trace_id: str
    parent_id: str
    name: str
    kind: Kind
    sink: Sink
    span_id: str = ""
    begun_at: int = 0
    ended_at: int = 0
    failure: str | None = None
    attributes: dict[str, Value] = {}

    def __post_init__(self) -> None:
        self.span_id = secrets.token_hex(8)
        self.begun_at = time.time_ns()

    def end(self, failure: str | None = None, **attributes: Value) -> None:
        """Hand it over; ``failure`` tells why what it was about failed."""
        self.ended_at = time.time_ns()
        self.failure = failure
        self.attributes = self.attributes | attributes
        self.sink(self)


Sink = Callable[[Span], object]
"""Takes a span that has ended."""


class Tracing:
    """Begins spans where somebody collects them; elsewhere there is none, and nothing is done.

    A task knows the span that it was started in, so that work which a request began, and which
    others share, is told as that request's.
    """

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self._sink: Sink | None = None
        self._share = 0.0
        self._chance = chance
        self.dropped: Callable[[int], object] = lambda _spans: None
        """Told how many spans no collector took."""
        self._current: ContextVar[Span | None] = ContextVar("span", default=None)

    @property
    def is_on(self) -> bool:
        return self._sink is not None

    def configure(self, sink: Sink | None, share: float = 1.0) -> None:
        """Hand spans to ``sink``, of this share of the requests whose senders did not decide."""
        self._sink = sink
        self._share = share

    def begin_request(self, traceparent: str | None) -> Span | None:
        """Begin the span of a request; ``traceparent`` is its sender's (W3C Trace Context, 3.2)."""
        span = None if self._sink is None else self._begun(traceparent, self._sink)
        if span is not None:
            self._current.set(span)
        return span

    def begin(self, name: str, kind: Kind = Kind.INTERNAL) -> Span | None:
        """Begin a span within the current one; ``None`` where nobody asked for it."""
        parent = self._current.get()
        if parent is None or self._sink is None:
            return None
        return Span(parent.trace_id, parent.span_id, name, kind, self._sink)

    def _begun(self, traceparent: str | None, sink: Sink) -> Span | None:
        parent = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
        if parent is not None:
            is_wanted = int(parent[3], 16) & _SAMPLED
            return Span(parent[1], parent[2], "request", Kind.SERVER, sink) if is_wanted else None
        if self._chance() >= self._share:
            return None
        return Span(secrets.token_hex(16), "", "request", Kind.SERVER, sink)

    @contextmanager
    def span(self, name: str, kind: Kind = Kind.INTERNAL, **attributes: Value) -> Iterator[Span | None]:
        """Span what is within; an exception that leaves it is its failure."""
        span = self.begin(name, kind)
        if span is None:
            yield None
            return
        failure: str | None = "broken off"
        try:
            yield span
            failure = None
        except EntrepotError as error:
            failure = str(error)
            raise
        finally:
            span.end(failure, **attributes)


trace = Tracing()
