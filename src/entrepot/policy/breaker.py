"""Remembers of one endpoint whether asking it is of use.

A failing endpoint is left alone for a while, then probed by one request at a time.  The
while is short, doubling from 1 to 15 seconds, so that a recovery is noticed soon.  Times
are seconds of a clock that only runs forward.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

__all__ = [
    "CLOSED",
    "BreakerState",
    "FailureKind",
    "Health",
    "health",
    "on_failure",
    "on_probe",
    "on_rate_limit",
    "on_success",
    "retry_after",
]

FAILURES_TO_OPEN = 3
FIRST_COOLDOWN = 1.0
LONGEST_COOLDOWN = 15.0
# Where a 429 names no time, half a minute neither hammers the registry nor hides it for long.
DEFAULT_RATE_LIMIT = 30.0
# Whatever a 429 names, asking once an hour costs one more 429 at worst; believing a wrong date costs days.
LONGEST_RATE_LIMIT = 3600.0


class Health(Enum):
    """What is known of an upstream before it is asked."""

    UP = "up"
    """Ask it."""

    PROBING = "probing"
    """It failed and may be tried again: ask it only behind an answer that can be given without it."""

    DOWN = "down"
    """It failed a moment ago, or asked not to be asked for a while: whatever is cached is served as it is."""


class FailureKind(Enum):
    """How a request to an endpoint failed, 429 apart."""

    CONNECT = "connect"
    """No connection came about: refused, reset, unresolved, untrusted.  Nothing was sent."""

    TIMEOUT = "timeout"
    """A wait outlasted its deadline, at whatever stage."""

    BROKEN_BODY = "broken body"
    """The connection broke, or the body ended too soon."""

    DOUBT = "doubt"
    """Somebody who has something to fall back on waited long enough; the request still runs."""

    SERVER_ERROR = "server error"
    """A status of 5xx."""


class BreakerState(Struct, frozen=True):
    """``failures`` in a row; ``probe_at``: when an endpoint that failed may be tried again.

    ``hangs``: it cost somebody a whole timeout, so that even those who have nothing to fall back on
    had better not wait for it.

    A rate limit is kept apart from failures: a blob that still flows through does not end it.
    """

    failures: int = 0
    cooldown: float = 0.0
    probe_at: float | None = None
    probing: bool = False
    hangs: bool = False
    limited_until: float | None = None


CLOSED = BreakerState()


def health(state: BreakerState, now: float) -> Health:
    if state.limited_until is not None and now < state.limited_until:
        return Health.DOWN
    if state.probe_at is None:
        return Health.UP
    return Health.DOWN if now < state.probe_at else Health.PROBING


def retry_after(state: BreakerState, now: float) -> float:
    """Return the seconds until the endpoint may be asked again; 0 if it may be asked now."""
    return max(0.0, (state.limited_until or now) - now, (state.probe_at or now) - now)


def on_success(state: BreakerState) -> BreakerState:
    """Close at once."""
    return BreakerState(limited_until=state.limited_until)


def on_failure(state: BreakerState, now: float, kind: FailureKind) -> BreakerState:
    """Count a failure.

    A timeout opens the breaker alone, for it has already cost somebody seconds.  Failures of
    requests that were on their way when it opened say nothing new.
    """
    failures = state.failures + 1
    if state.probe_at is None:
        if kind not in {FailureKind.TIMEOUT, FailureKind.DOUBT} and failures < FAILURES_TO_OPEN:
            return replace(state, failures=failures)
        return _opened(state, now, FIRST_COOLDOWN, kind)
    if now < state.probe_at and not state.probing:
        return replace(state, hangs=state.hangs or kind is FailureKind.TIMEOUT)
    return _opened(state, now, min(2 * state.cooldown, LONGEST_COOLDOWN), kind)


def on_probe(state: BreakerState, now: float) -> BreakerState:
    """Note that a request leaves for an endpoint that is ``PROBING``: others hold back for a cool-down."""
    if health(state, now) is not Health.PROBING:
        return state
    return replace(state, probing=True, probe_at=now + state.cooldown)


def on_rate_limit(state: BreakerState, now: float, seconds: float | None) -> BreakerState:
    """Note a 429 and the seconds its Retry-After names, if it has one."""
    wait = DEFAULT_RATE_LIMIT if seconds is None else min(max(seconds, 0.0), LONGEST_RATE_LIMIT)
    return replace(state, limited_until=max(state.limited_until or now, now + wait))


def _opened(state: BreakerState, now: float, cooldown: float, kind: FailureKind) -> BreakerState:
    return replace(
        state,
        failures=state.failures + 1,
        cooldown=cooldown,
        probe_at=now + cooldown,
        probing=False,
        hangs=kind is FailureKind.TIMEOUT,
    )
