from __future__ import annotations

import pytest

from entrepot.upstream.patience import Patience


def test_a_kilobyte_is_worth_another_wait() -> None:
    patience = Patience("registry.test", 30)
    patience.rewarded(1 << 10, 29)
    assert patience.left == 30


def test_drops_are_waited_for_together() -> None:
    patience = Patience("registry.test", 30)
    for _ in range(10):
        patience.rewarded(1, 2)
    assert patience.left == 10


def test_drops_that_make_a_kilobyte_are_worth_another_wait() -> None:
    patience = Patience("registry.test", 30)
    for _ in range(1 << 10):
        patience.rewarded(1, 0.01)
    assert patience.left == 30


@pytest.mark.parametrize(("drops", "words"), [(0, "fell silent for 30 s"), (7, "sent only 7 bytes in 30 s")])
def test_the_end_says_what_came(drops: int, words: str) -> None:
    patience = Patience("registry.test", 30)
    patience.rewarded(drops, 1)
    assert words in str(patience.ended())
