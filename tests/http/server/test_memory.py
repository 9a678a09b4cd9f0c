"""What a process that serves does not do at every turn."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from entrepot.http.server.memory import tune_memory


@pytest.fixture(autouse=True)
def _threshold() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_no_cycles_are_looked_for_within_some_turns() -> None:
    looks: list[str] = []

    def note(phase: str, _: object) -> None:
        looks.append(phase)

    tune_memory()
    gc.collect()
    gc.callbacks.append(note)
    try:
        held = [[number] for number in range(5_000)]
        assert (len(held), looks) == (5_000, [])
        more = [[number] for number in range(50_000)]
        assert len(more) == 50_000
        assert looks
    finally:
        gc.callbacks.remove(note)
