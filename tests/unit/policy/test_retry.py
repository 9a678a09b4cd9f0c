from __future__ import annotations

import pytest

from entrepot.policy.breaker import FailureKind
from entrepot.policy.retry import (
    GiveUp,
    RetryAfter,
    RetryVerdict,
    TryNextEndpoint,
    after_failure,
    after_rate_limit,
)

AGAIN = [FailureKind.CONNECT, FailureKind.BROKEN_BODY, FailureKind.SERVER_ERROR]


@pytest.mark.parametrize("kind", AGAIN)
def test_an_endpoint_gets_two_more_chances_then_the_next_has_its_turn(kind: FailureKind) -> None:
    verdicts = [after_failure(attempt, kind, 0.5) for attempt in (1, 2, 3)]
    assert verdicts == [RetryAfter(0.05), RetryAfter(0.1), TryNextEndpoint()]


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_nobody_waits_twice_for_the_same_timeout(attempt: int) -> None:
    assert after_failure(attempt, FailureKind.TIMEOUT, 0.5) == TryNextEndpoint()


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        (FailureKind.CONNECT, RetryAfter(0.05)),
        (FailureKind.TIMEOUT, GiveUp()),
        (FailureKind.BROKEN_BODY, GiveUp()),
        (FailureKind.SERVER_ERROR, GiveUp()),
    ],
)
def test_what_may_have_had_an_effect_is_not_sent_twice(kind: FailureKind, verdict: RetryVerdict) -> None:
    assert after_failure(1, kind, 0.5, safe=False) == verdict


def test_the_jitter_is_full() -> None:
    assert after_failure(1, FailureKind.CONNECT, 0) == RetryAfter(0)
    assert after_failure(2, FailureKind.CONNECT, 0.999) == RetryAfter(0.999 * 0.2)


@pytest.mark.parametrize(
    ("attempt", "seconds", "verdict"),
    [
        (1, 1, RetryAfter(1.05)),
        (1, 0, RetryAfter(0.05)),
        (1, -3, RetryAfter(0.05)),
        (1, 2, RetryAfter(2.05)),
        (1, 2.1, TryNextEndpoint()),
        (1, None, RetryAfter(1.0)),
        (2, None, TryNextEndpoint()),
        (3, 1, TryNextEndpoint()),
    ],
)
def test_a_rate_limit_is_waited_for_only_where_it_is_short(
    attempt: int, seconds: float | None, verdict: RetryVerdict
) -> None:
    assert after_rate_limit(attempt, seconds, 0.5) == verdict
