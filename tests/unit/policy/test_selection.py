from __future__ import annotations

import pytest

from entrepot.oci.reference import Repository
from entrepot.policy.selection import Selection

ALPINE = Repository("docker.io", "library/alpine")


@pytest.mark.parametrize(
    ("selection", "is_taken"),
    [
        (Selection("*"), True),
        (Selection("library/*"), True),
        (Selection("library/alpine"), True),
        (Selection("alpine"), False),
        (Selection("library"), False),
        (Selection("LIBRARY/*"), False),
        (Selection("*", upstream="docker.io"), True),
        (Selection("*", upstream="ghcr.io"), False),
        (Selection("docker.io/*"), False),
    ],
    ids=str,
)
def test_repositories_are_taken_by_the_pattern_of_their_name(selection: Selection, *, is_taken: bool) -> None:
    assert selection.takes(ALPINE) is is_taken


@pytest.mark.parametrize(
    ("tags", "taken"), [(None, {"1.0", "nightly-1", "[1]"}), ("nightly-*", {"nightly-1"}), ("[1]", {"[1]"})]
)
def test_tags_are_taken_by_their_pattern_or_as_they_are_written(tags: str | None, taken: set[str]) -> None:
    selection = Selection("*", tags=tags)
    assert {tag for tag in ("1.0", "nightly-1", "[1]") if selection.takes_tag(tag)} == taken
