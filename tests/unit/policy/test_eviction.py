from __future__ import annotations

import pytest

from entrepot.policy.eviction import priority

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("uses", "size", "floor", "expected"),
    [
        (1, 64 * KIB, 0.0, 1.0),
        (2, 64 * KIB, 0.0, 3.0),
        (4, 64 * KIB, 0.0, 5.0),
        (64, 64 * KIB, 0.0, 13.0),
        (1, 64 * KIB, 100.5, 101.5),
        (1, 64 * MIB, 0.0, 0.5),
        (4, 64 * MIB, 0.0, 2.5),
        (1, 64 * GIB, 0.0, 0.25),
    ],
)
def test_a_priority_is_the_floor_and_what_uses_and_size_add(
    uses: int, size: int, floor: float, expected: float
) -> None:
    assert priority(uses, size, floor) == pytest.approx(expected)


def test_content_that_came_a_moment_ago_is_worth_as_much_as_content_used_once() -> None:
    assert priority(0, MIB, 7.0) == priority(1, MIB, 7.0)


def test_a_million_uses_are_worth_no_more_than_sixty_four() -> None:
    assert priority(1_000_000, MIB, 7.0) == priority(64, MIB, 7.0)


@pytest.mark.parametrize("size", [0, 1, KIB, 64 * KIB])
def test_below_64_kib_size_makes_no_difference(size: int) -> None:
    assert priority(3, size, 0.0) == priority(3, 64 * KIB, 0.0)


def test_content_used_after_the_floor_rose_outlives_what_was_used_more_before() -> None:
    assert priority(1, MIB, 20.0) > priority(1000, MIB, 5.0)
