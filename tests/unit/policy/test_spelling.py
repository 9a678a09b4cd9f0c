from __future__ import annotations

import pytest

from entrepot.policy.spelling import did_you_mean

KNOWN = ["docker.io", "ghcr.io", "quay.test"]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("docker.i", "; did you mean docker.io?"),
        ("GHCR.oi", "; did you mean ghcr.io?"),
        ("absent.test", ""),
        ("", ""),
    ],
)
def test_a_known_word_is_named_where_it_is_much_alike(word: str, hint: str) -> None:
    assert did_you_mean(word, KNOWN) == hint
