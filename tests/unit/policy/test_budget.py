from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.policy.budget import (
    Bounds,
    Usage,
    allowance,
    excess,
    is_slow_to_show,
    share_shortage,
    shortage,
    usual_reserve,
)

SIZES = st.integers(0, 1 << 50)


def _bounds(max_size: int | None = 100, min_free: int = 0) -> Bounds:
    return Bounds(max_size=max_size, min_free=min_free, high=0.9, low=0.5)


def _usage(held: int, promised: int = 0, free: int = 1000) -> Usage:
    return Usage(held, promised, free)


@pytest.mark.parametrize(
    ("usage", "bounds", "allowed"),
    [
        (_usage(50), _bounds(100), 100),
        (_usage(50), _bounds(None), 1050),
        (_usage(50), _bounds(None, min_free=200), 850),
        (_usage(50, promised=20), _bounds(None, min_free=200), 830),
        (_usage(50, free=10), _bounds(100, min_free=20), 40),
        (_usage(50, free=0), _bounds(100, min_free=80), 0),
    ],
)
def test_what_may_be_held_is_the_budget_and_no_more_than_the_disk_has(
    usage: Usage, bounds: Bounds, allowed: int
) -> None:
    assert allowance(usage, bounds) == allowed


def test_what_fits_is_short_of_nothing() -> None:
    assert shortage(_usage(60), _bounds(100), 40) == 0
    assert shortage(_usage(60), _bounds(100), 41) == 1


def test_promises_count_once_whether_written_or_not() -> None:
    before = shortage(_usage(60, promised=30, free=35), _bounds(None), 10)
    after = shortage(_usage(60, promised=0, free=5), _bounds(None), 10)
    assert before == after == 5


def test_eviction_begins_past_the_high_mark_and_ends_at_the_low_one() -> None:
    assert excess(_usage(90), _bounds(100)) == 0
    assert excess(_usage(91), _bounds(100)) == 41
    assert excess(_usage(60), _bounds(100), is_under_way=True) == 10
    assert excess(_usage(50), _bounds(100), is_under_way=True) == 0


def test_a_disk_that_others_fill_up_is_made_room_on() -> None:
    assert excess(_usage(50, free=5), _bounds(None, min_free=30)) == 38


@pytest.mark.parametrize(
    ("charge", "share", "wanted", "short"),
    [(60, 100, 40, 0), (60, 100, 41, 1), (120, 100, 0, 20), (99, None, 99, 0)],
)
def test_an_upstream_is_short_of_what_goes_beyond_its_share(
    charge: int, share: int | None, wanted: int, short: int
) -> None:
    assert share_shortage(charge, share, wanted) == short


@given(SIZES, SIZES, SIZES, SIZES, st.none() | SIZES)
def test_after_the_shortage_went_what_is_wanted_fits(
    held: int, free: int, wanted: int, min_free: int, max_size: int | None
) -> None:
    bounds = Bounds(max_size=max_size, min_free=min_free, high=1.0, low=1.0)
    gone = min(held, shortage(Usage(held, 0, free), bounds, wanted))
    left = shortage(Usage(held - gone, 0, free + gone), bounds, wanted)
    assert left == 0 or gone == held


def test_a_small_disk_keeps_a_twentieth_for_others_and_a_large_one_64_mib() -> None:
    assert usual_reserve(100 << 20) == 5 << 20
    assert usual_reserve(1 << 40) == 64 << 20


@pytest.mark.parametrize(
    ("deleted", "missing", "is_slow"),
    [
        (100, 0, False),
        (100, -50, False),
        (100, 50, False),
        (100, 51, True),
        (100, 125, True),
        (100, 126, False),
        (0, 0, False),
        (0, 9, False),
    ],
)
def test_what_is_missing_was_deleted_if_it_is_about_as_much(
    deleted: int, missing: int, *, is_slow: bool
) -> None:
    assert is_slow_to_show(deleted, missing) is is_slow
