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
from math import inf

from msgspec import Struct

from entrepot.errors import EntrepotError

__all__ = ["Kind", "Root", "Span", "Tracing", "trace"]

Value = str | int | None

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_SAMPLED = 1
_MOST_LOOKED_AT = 1000
"""Requests a second that may turn out to have something to tell: looking at each slows hits by 3 %."""


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
        self.begun_at = self.begun_at or time.time_ns()

    def end(self, failure: str | None = None, **attributes: Value) -> None:
        """Hand it over; ``failure`` tells why what it was about failed."""
        self.ended_at = time.time_ns()
        self.failure = failure
        self.attributes = self.attributes | attributes
        self.sink(self)


Sink = Callable[[Span], object]
"""Takes a span that has ended."""


class Root(Struct, eq=False, gc=False):
    """A request that may be told of: it has a span as soon as something is begun within it."""

    sink: Sink
    begun_at: int
    trace_id: str = ""
    parent_id: str = ""
    is_over: bool = False
    span: Span | None = None

    def begun(self) -> Span:
        if self.span is None:
            self.trace_id = self.trace_id or secrets.token_hex(16)
            self.span = Span(
                *(self.trace_id, self.parent_id, "request", Kind.SERVER, self.sink), begun_at=self.begun_at
            )
        return self.span

    def within(self, name: str, kind: Kind) -> Span:
        """Begin a span below that of the request, or in its place if it ended untold."""
        if self.span is None and self.is_over:
            self.trace_id = self.trace_id or secrets.token_hex(16)
            return Span(self.trace_id, self.parent_id, name, kind, self.sink)
        parent = self.begun()
        return Span(parent.trace_id, parent.span_id, name, kind, self.sink)


class Tracing:
    """Begins spans where somebody collects them; elsewhere there is none, and nothing is done.

    A task knows the request that it was started in, so that work which a request began, and which
    others share, is told as that request's.
    """

    def __init__(
        self,
        chance: Callable[[], float] = random.random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_on = False
        self._sink: Sink | None = None
        self._share = 1.0
        self._chance = chance
        self._monotonic = monotonic
        self._plain_a_second = 0
        self._looked_at_left = self._plain_left = 0
        self._second_ends = 0.0
        self.quiet_until = inf
        """Until then nothing is told of a request that has nothing to tell; in seconds of ``monotonic``."""
        self.dropped: Callable[[int], object] = lambda _spans: None
        """Told how many spans no collector took."""
        self._current: ContextVar[Root | None] = ContextVar("request", default=None)

    def configure(self, sink: Sink | None, share: float = 1.0, plain_a_second: int = 0) -> None:
        """Hand spans to ``sink``, of this share of the requests whose senders did not decide.

        Of those, ``plain_a_second`` are told of at most although there is nothing to tell.
        """
        self._sink, self.is_on = sink, sink is not None
        self._share = share
        self._plain_a_second = plain_a_second
        self._second_ends = 0.0
        self.quiet_until = 0.0 if self.is_on and share > 0 and plain_a_second > 0 else inf

    def begin_request(self, traceparent: str | None) -> Root | None:
        """Begin a request; ``traceparent`` is its sender's (W3C Trace Context, 3.2)."""
        root = None
        if self._sink is not None:
            parent = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
            if parent is not None:
                root = _asked_for(parent, self._sink)
            elif self._share == 1.0 or self._chance() < self._share:
                root = self._looked_at(self._monotonic(), self._sink)
        if root is not None or self._current.get() is not None:
            self._current.set(root)
        return root

    def end_request(self, root: Root, *, is_plain: bool) -> Span | None:
        """Return the span that tells of it, to be ended; ``None`` if it is plain, and others are told of.

        A span costs as much as a hit does: so hits, of which there may be thousands a second, are only
        told of now and then.
        """
        if is_plain and root.span is None:
            if self._plain_left == 0:
                root.is_over = True
                return None
            self._plain_left -= 1
        return root.begun()

    def begin(self, name: str, kind: Kind = Kind.INTERNAL) -> Span | None:
        """Begin a span within the current request; ``None`` where nobody asked for it."""
        root = self._current.get()
        return None if root is None or self._sink is None else root.within(name, kind)

    def _looked_at(self, now: float, sink: Sink) -> Root | None:
        """Return the root of one more request, unless there were many in this second."""
        if now >= self._second_ends:
            self._second_ends = now + 1.0
            self._looked_at_left, self._plain_left = _MOST_LOOKED_AT, self._plain_a_second
        if self._looked_at_left == 0:
            return None
        self._looked_at_left -= 1
        if self._looked_at_left == 0 or self._plain_left == 0:
            self.quiet_until = self._second_ends
        return Root(sink, time.time_ns())

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


def _asked_for(parent: re.Match[str], sink: Sink) -> Root | None:
    is_wanted = int(parent[3], 16) & _SAMPLED
    if not is_wanted:
        return None
    root = Root(sink, time.time_ns(), parent[1], parent[2])
    root.begun()  # So that it is told, whatever becomes of it.
    return root


trace = Tracing()
