from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from entrepot.engine.intervals import Intervals

STRETCHES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair)))
)


@given(STRETCHES)
def test_it_holds_exactly_what_was_added(stretches: list[tuple[int, int]]) -> None:
    model = {position for start, stop in stretches for position in range(start, stop)}
    intervals = list(Intervals(stretches))
    assert {position for start, stop in intervals for position in range(start, stop)} == model
    assert all(before[1] < after[0] for before, after in pairwise(intervals))


@given(STRETCHES, st.integers(0, 60), st.integers(0, 60))
def test_gaps_are_what_is_missing(stretches: list[tuple[int, int]], start: int, stop: int) -> None:
    model = {position for first, last in stretches for position in range(first, last)}
    gaps = list(Intervals(stretches).gaps(start, stop))
    assert {position for first, last in gaps for position in range(first, last)} == set(
        range(start, stop)
    ) - model


@given(STRETCHES, st.integers(0, 60))
def test_a_run_ends_at_the_first_missing_byte(stretches: list[tuple[int, int]], position: int) -> None:
    model = {byte for start, stop in stretches for byte in range(start, stop)}
    end = position
    while end in model:
        end += 1
    assert Intervals(stretches).run_end(position) == end


@given(STRETCHES)
def test_the_total_counts_every_byte_once(stretches: list[tuple[int, int]]) -> None:
    model = {position for start, stop in stretches for position in range(start, stop)}
    assert Intervals(stretches).total() == len(model)


@given(STRETCHES)
def test_the_end_is_behind_the_last_byte(stretches: list[tuple[int, int]]) -> None:
    assert Intervals(stretches).end == max((stop for start, stop in stretches if start < stop), default=0)
