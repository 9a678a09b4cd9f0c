from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.engine.fetch import Fetch
from entrepot.engine.intervals import Intervals
from entrepot.engine.plan import BLOCK, NEAR, plan_fetch, unclaimed

SIZE = 64 * BLOCK + 5


def _interval(fetch: Fetch | None) -> tuple[int, int | None] | None:
    return None if fetch is None else (fetch.cursor, fetch.stop)


@pytest.mark.parametrize(
    ("present", "position", "stop", "expected"),
    [
        pytest.param([], 0, None, (0, SIZE), id="a reader of the whole fetches the whole"),
        pytest.param([(0, 100)], 100, None, (100, SIZE), id="from the first missing byte"),
        pytest.param([(0, 100)], 50, None, None, id="nothing for a byte that is here"),
        pytest.param([], 5, 10, (0, BLOCK), id="a range in whole blocks"),
        pytest.param([], SIZE - 1, SIZE, (64 * BLOCK, SIZE), id="but not beyond the end"),
        pytest.param([(0, 7), (500, SIZE)], 7, None, (7, 500), id="up to what is here"),
        pytest.param(
            [(BLOCK, BLOCK + 9)], BLOCK + 9, BLOCK + 10, (BLOCK + 9, 2 * BLOCK), id="behind what is here"
        ),
    ],
)
def test_a_fetch_covers_what_is_missing(
    present: list[tuple[int, int]], position: int, stop: int | None, expected: tuple[int, int] | None
) -> None:
    assert _interval(plan_fetch(Intervals(present), [], position, stop, SIZE)) == expected


def test_without_a_size_the_fetch_has_no_end() -> None:
    assert _interval(plan_fetch(Intervals(), [], 0, None, None)) == (0, None)


def test_a_reader_near_a_running_fetch_waits_for_it() -> None:
    running = Fetch(0, SIZE)
    assert plan_fetch(Intervals(), [running], NEAR, None, SIZE) is None
    assert running.stop == SIZE


def test_a_reader_far_ahead_cuts_the_running_fetch_short() -> None:
    running = Fetch(0, SIZE)
    fetch = plan_fetch(Intervals(), [running], 32 * BLOCK + 3, 32 * BLOCK + 9, SIZE)
    assert _interval(fetch) == (32 * BLOCK, 33 * BLOCK)
    assert running.stop == 32 * BLOCK


def test_two_fetches_never_bring_the_same_byte() -> None:
    running = Fetch(2 * BLOCK, 3 * BLOCK)
    assert _interval(plan_fetch(Intervals(), [running], 0, None, SIZE)) == (0, 2 * BLOCK)


@given(
    st.lists(st.tuples(st.integers(0, 70), st.integers(1, 9))),
    st.lists(st.tuples(st.integers(0, 63), st.one_of(st.none(), st.integers(1, 9))), max_size=8),
)
def test_all_plans_together_bring_every_byte_once(
    present: list[tuple[int, int]], readers: list[tuple[int, int | None]]
) -> None:
    here = Intervals(
        (start * BLOCK // 2, min(SIZE, (start + length) * BLOCK // 2)) for start, length in present
    )
    fetches: list[Fetch] = []
    for block, length in [*readers, (0, None)]:
        stop = None if length is None else min(SIZE, (block + length) * BLOCK)
        position = here.run_end(block * BLOCK)
        if position < (SIZE if stop is None else stop):
            fetch = plan_fetch(here, fetches, position, stop, SIZE)
            fetches += [fetch] if fetch is not None else []
    while (missing := unclaimed(here, fetches, SIZE)) is not None:
        fetch = plan_fetch(here, fetches, missing, None, SIZE)
        assert fetch is not None
        fetches.append(fetch)
    claimed = sorted((fetch.cursor, fetch.stop or SIZE) for fetch in fetches if not fetch.is_done)
    assert all(before[1] <= after[0] for before, after in pairwise(claimed))
    assert here.total() + sum(stop - start for start, stop in claimed) == SIZE
