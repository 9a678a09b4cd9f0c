from __future__ import annotations

import pytest

from entrepot.ports.condition import Budget, CredentialStanding
from entrepot.upstream.answers import RateLimit
from entrepot.upstream.standing import Standing


def _resets(*told: tuple[int, float]) -> float | None:
    """Return when the window ends, for numbers left and when each was told."""
    standing = Standing(has_credential=False)
    for remaining, now in told:
        standing.told(RateLimit(100, remaining, 600.0), now)
    assert standing.budget is not None
    return standing.budget.resets_by


def test_a_window_ends_within_its_length_of_when_it_was_first_heard_of() -> None:
    assert _resets((90, 10.0), (80, 20.0), (80, 30.0)) == 610.0


def test_requests_that_become_more_again_begin_a_new_window() -> None:
    assert _resets((5, 10.0), (99, 200.0), (98, 300.0)) == 800.0


def test_a_window_that_is_over_is_followed_by_a_new_one() -> None:
    assert _resets((90, 10.0), (80, 610.0)) == 1210.0


def test_what_the_upstream_says_of_the_end_is_believed() -> None:
    standing = Standing(has_credential=False)
    standing.told(RateLimit(100, 90, 600.0, resets_at=77.0), 10.0)
    assert standing.budget == Budget(100, 90, 10.0, 77.0)


def test_without_a_window_nobody_knows_when_it_ends() -> None:
    standing = Standing(has_credential=False)
    standing.told(RateLimit(100, 90), 10.0)
    assert standing.budget == Budget(100, 90, 10.0, None)


@pytest.mark.parametrize(
    ("has_credential", "begins"), [(False, CredentialStanding.NONE), (True, CredentialStanding.UNTRIED)]
)
def test_a_credential_is_untried_until_it_is_told_of(
    *, has_credential: bool, begins: CredentialStanding
) -> None:
    assert Standing(has_credential=has_credential).credential is begins


def test_a_credential_that_is_accepted_again_is_no_longer_refused() -> None:
    standing = Standing(has_credential=True)
    standing.refused("401")
    assert (standing.credential, standing.refusal) == (CredentialStanding.REFUSED, "401")
    standing.accepted()
    assert (standing.credential, standing.refusal) == (CredentialStanding.ACCEPTED, None)


@pytest.mark.parametrize(
    ("headers", "ahead"),
    [
        ({"date": "Tue, 05 Jan 2021 11:00:00 GMT"}, 100.0),
        ({"date": "Tue, 05 Jan 2021 11:00:00 GMT", "age": "90"}, None),
        ({"date": "yesterday"}, None),
        ({}, None),
    ],
)
def test_the_clock_is_compared_with_the_date_of_an_answer(
    headers: dict[str, str], ahead: float | None
) -> None:
    standing = Standing(has_credential=False)
    standing.dated(headers, 1609844400.0 + 100.5)
    assert standing.clock_ahead == ahead
