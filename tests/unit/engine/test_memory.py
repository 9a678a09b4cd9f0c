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
