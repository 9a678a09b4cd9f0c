"""Decides what to do about a failed request: again, elsewhere, or not at all."""

from __future__ import annotations

from typing import assert_never

from msgspec import Struct

from entrepot.policy.breaker import FailureKind

__all__ = ["GiveUp", "RetryAfter", "RetryVerdict", "TryNextEndpoint", "after_failure", "after_rate_limit"]

RETRIES = 2
BASE_DELAY = 0.1
LONGEST_DELAY = 2.0
UNTOLD_PAUSE = 1.0


class RetryAfter(Struct, frozen=True):
    """Ask the same endpoint again after a pause."""

    seconds: float


class TryNextEndpoint(Struct, frozen=True):
    """Ask the next endpoint at once; where there is none, give up."""


class GiveUp(Struct, frozen=True):
    """Tell the caller."""


RetryVerdict = RetryAfter | TryNextEndpoint | GiveUp


def after_failure(attempt: int, kind: FailureKind, chance: float, *, safe: bool = True) -> RetryVerdict:
    """Judge a failure of the ``attempt``-th request to one endpoint, counted from 1.

    ``safe``: sending the request twice does no harm.  ``chance`` is a random number in [0, 1).
    """
    if not safe and kind is not FailureKind.CONNECT:
        return GiveUp()
    match kind:
        case FailureKind.TIMEOUT | FailureKind.DOUBT:
            # The same endpoint would cost the caller the same wait again.
            return TryNextEndpoint()
        case FailureKind.CONNECT | FailureKind.BROKEN_BODY | FailureKind.SERVER_ERROR:
            return RetryAfter(_backoff(attempt, chance)) if attempt <= RETRIES else TryNextEndpoint()
        case _:
            assert_never(kind)


def after_rate_limit(attempt: int, seconds: float | None, chance: float) -> RetryVerdict:
    """Judge a 429 whose Retry-After names ``seconds``, ``None`` for none.

    A pause that a caller hardly feels is waited for; else a mirror may still have patience.  Where no
    pause is named one try more tells a burst, as ECR counts them, from a limit that lasts.
    """
    if seconds is None and attempt == 1:
        return RetryAfter(UNTOLD_PAUSE * (0.5 + chance))
    if seconds is None or seconds > LONGEST_DELAY or attempt > RETRIES:
        return TryNextEndpoint()
    return RetryAfter(max(seconds, 0.0) + _backoff(attempt, chance))


def _backoff(attempt: int, chance: float) -> float:
    """Exponential, with full jitter: askers who failed together do not return together."""
    return chance * min(BASE_DELAY * 2.0 ** (attempt - 1), LONGEST_DELAY)
