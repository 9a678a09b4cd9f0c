from __future__ import annotations

import pytest

from entrepot.engine.memory import Lru


@pytest.fixture
def memory() -> Lru[str, str]:
    return Lru(10, len)


def test_the_least_used_goes_first(memory: Lru[str, str]) -> None:
    for key in ("a", "b"):
        memory.put(key, "12345")
    memory.get("a")
    memory.put("c", "123")
    assert [key in memory for key in ("a", "b", "c")] == [True, False, True]


def test_what_is_heavier_than_all_it_may_hold_is_refused_and_drives_nothing_out(
    memory: Lru[str, str],
) -> None:
    memory.put("a", "12345")
    memory.put("b", "12345678901")
    assert memory.get("a") == "12345"
    assert memory.get("b") is None


def test_a_value_that_became_too_heavy_leaves_no_older_one_behind(memory: Lru[str, str]) -> None:
    memory.put("a", "12345")
    memory.put("a", "12345678901")
    assert memory.get("a") is None
    for key in ("b", "c"):
        memory.put(key, "12345")
    assert len(memory) == 2


def test_what_is_meant_is_forgotten_and_its_weight_with_it() -> None:
    memory = Lru[int, str](10, len)
    for number in range(5):
        memory.put(number, "xx")
    memory.forget_all(lambda number: number % 2 == 0)
    assert [number for number in range(5) if number in memory] == [1, 3]
    memory.put(9, "x" * 6)
    assert len(memory) == 3
