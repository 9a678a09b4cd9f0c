from __future__ import annotations

from entrepot.oci.media_type import ACCEPT, MANIFEST_TYPES


def test_every_manifest_type_is_asked_for_by_name_in_one_header() -> None:
    *named, anything = ACCEPT.split(", ")
    assert named == list(MANIFEST_TYPES)
    assert len(set(named)) == len(named)
    assert anything == "*/*;q=0.1"


def test_indexes_are_asked_for_first() -> None:
    assert "index" in MANIFEST_TYPES[0]
    assert "list" in MANIFEST_TYPES[1]
