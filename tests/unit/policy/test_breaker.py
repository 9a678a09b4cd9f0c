from __future__ import annotations

import pytest

from entrepot.policy.breaker import (
    CLOSED,
    BreakerState,
    FailureKind,
    Health,
    health,
    on_failure,
    on_probe,
    on_rate_limit,
    on_success,
    retry_after,
)

SOFT = [FailureKind.CONNECT, FailureKind.BROKEN_BODY, FailureKind.SERVER_ERROR]


def _opened(now: float) -> BreakerState:
    return on_failure(CLOSED, now, FailureKind.TIMEOUT)


def test_an_endpoint_begins_up() -> None:
    assert health(CLOSED, 0) is Health.UP
    assert retry_after(CLOSED, 0) == 0


def test_one_timeout_opens() -> None:
    assert health(_opened(100), 100) is Health.DOWN


@pytest.mark.parametrize("kind", SOFT)
def test_other_failures_open_at_the_third_in_a_row(kind: FailureKind) -> None:
    state = on_failure(on_failure(CLOSED, 100, kind), 100, kind)
    assert health(state, 100) is Health.UP
    assert health(on_failure(state, 100, kind), 100) is Health.DOWN


@pytest.mark.parametrize("kind", SOFT)
def test_a_success_between_begins_the_count_anew(kind: FailureKind) -> None:
    state = CLOSED
    for _ in range(5):
        state = on_success(on_failure(on_failure(state, 100, kind), 100, kind))
    assert health(state, 100) is Health.UP


def test_an_open_breaker_lets_a_probe_through_after_the_cooldown() -> None:
    state = _opened(100)
    assert health(state, 100.9) is Health.DOWN
    assert retry_after(state, 100.25) == 0.75
    assert health(state, 101) is Health.PROBING
    assert retry_after(state, 101) == 0


@pytest.mark.parametrize("kind", FailureKind)
def test_the_cooldown_doubles_to_fifteen_seconds_while_probes_fail(kind: FailureKind) -> None:
    state, now, cooldowns = _opened(100), 100.0, []
    for _ in range(6):
        cooldowns.append(retry_after(state, now))
        now += cooldowns[-1]
        assert health(state, now) is Health.PROBING
        state = on_failure(state, now, kind)
    assert cooldowns == [1, 2, 4, 8, 15, 15]


def test_one_probe_holds_the_others_back() -> None:
    state = on_probe(_opened(100), 101)
    assert health(state, 101) is Health.DOWN
    assert health(state, 102) is Health.PROBING


def test_a_probe_that_fails_early_doubles_the_cooldown() -> None:
    state = on_failure(on_probe(_opened(100), 101), 101.5, FailureKind.CONNECT)
    assert retry_after(state, 101.5) == 2
    assert on_failure(state, 101.6, FailureKind.CONNECT) == state


def test_a_probe_is_noted_only_where_one_is_due() -> None:
    assert on_probe(CLOSED, 100) == CLOSED
    assert on_probe(_opened(100), 100.5) == _opened(100)


def test_a_success_closes_at_once() -> None:
    assert on_success(on_probe(_opened(100), 101)) == CLOSED
    assert on_success(_opened(100)) == CLOSED


def test_failures_on_their_way_when_it_opened_change_nothing() -> None:
    state = _opened(100)
    assert on_failure(state, 100.9, FailureKind.TIMEOUT) == state


def test_a_new_outage_begins_with_the_short_cooldown() -> None:
    state = on_failure(_opened(100), 101, FailureKind.TIMEOUT)
    assert retry_after(on_failure(on_success(state), 200, FailureKind.TIMEOUT), 200) == 1


@pytest.mark.parametrize(("told", "wait"), [(None, 30), (5, 5), (0, 0), (-5, 0), (3600, 3600), (1e9, 3600)])
def test_a_rate_limit_lasts_as_long_as_told_within_reason(told: float | None, wait: float) -> None:
    state = on_rate_limit(CLOSED, 100, told)
    assert retry_after(state, 100) == wait
    assert health(state, 100 + wait) is Health.UP
    assert wait == 0 or health(state, 100 + wait - 0.1) is Health.DOWN


def test_a_rate_limit_outlasts_successes_and_shorter_limits() -> None:
    state = on_success(on_rate_limit(on_rate_limit(CLOSED, 100, 60), 101, 1))
    assert health(state, 159) is Health.DOWN
    assert health(state, 160) is Health.UP


def test_a_rate_limit_and_failures_do_not_hide_each_other() -> None:
    state = on_rate_limit(_opened(100), 100, 10)
    assert health(state, 105) is Health.DOWN
    assert health(state, 110) is Health.PROBING
    assert on_probe(state, 105) == state
