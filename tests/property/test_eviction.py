"""What eviction promises of any content: use never harms, favourites fade, and a sweep takes only itself away."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entrepot.policy.eviction import priority

uses = st.integers(0, 1 << 40)
sizes = st.integers(0, 1 << 45)
floors = st.floats(0, 1e6)

MIB = 1 << 20


class Store:
    """Content of one size, evicted as the policy says; ``room`` in pieces of content."""

    def __init__(self, room: int) -> None:
        self.priorities: dict[int, float] = {}
        self._uses: dict[int, int] = {}
        self._room = room
        self._floor = 0.0

    def use(self, content: int, count: int = 1) -> None:
        self._uses[content] = self._uses.get(content, 0) + count
        self.priorities[content] = priority(self._uses[content], MIB, self._floor)
        while len(self.priorities) > self._room:
            victim = min(self.priorities, key=self.priorities.__getitem__)
            self._floor = max(self._floor, self.priorities.pop(victim))
            del self._uses[victim]


@given(uses, uses, sizes, floors, floors)
def test_neither_one_more_use_nor_a_later_one_lowers_a_priority(
    count: int, more: int, size: int, floor: float, rise: float
) -> None:
    assert priority(count + more, size, floor + rise) >= priority(count, size, floor)


@given(uses, sizes, sizes, floors)
def test_of_contents_used_alike_the_smaller_is_never_the_first_to_leave(
    count: int, one: int, other: int, floor: float
) -> None:
    assert priority(count, min(one, other), floor) >= priority(count, max(one, other), floor)


@given(uses, sizes, floors)
def test_what_is_used_now_never_goes_before_what_went_last(count: int, size: int, floor: float) -> None:
    assert priority(count, size, floor) > floor


@given(st.integers(1, 1 << 40), st.integers(2, 12))
def test_an_unused_favourite_has_left_when_the_store_was_replaced_fourteen_times(
    count: int, room: int
) -> None:
    store = Store(room)
    store.use(0, count)
    for content in range(1, 14 * room + 1):
        store.use(content)
    assert 0 not in store.priorities


@given(st.integers(4, 64), st.integers(2, 12), st.integers(1, 8))
def test_a_sweep_of_three_times_the_store_evicts_nothing_that_was_used_four_times(
    count: int, room: int, favourites: int
) -> None:
    kept = set(range(min(favourites, room - 1)))
    store = Store(room)
    for content in kept:
        store.use(content, count)
    for content in range(100, 100 + 3 * (room - len(kept))):
        store.use(content)
    assert kept <= store.priorities.keys()


@given(st.lists(st.integers(0, 20), max_size=200), st.integers(2, 6))
def test_what_is_used_between_any_two_others_stays(order: list[int], room: int) -> None:
    store = Store(room)
    for content in order:
        store.use(content + 1)
        store.use(0)
        assert 0 in store.priorities
