from __future__ import annotations

import pytest

from entrepot.oci.conditional import etag_matches, range_applies

ETAG = '"sha256:abc"'


@pytest.mark.parametrize(
    "header",
    [
        ETAG,
        f"W/{ETAG}",
        "*",
        " * ",
        f'"other", {ETAG}',
        f'W/"x",W/{ETAG} ,"y"',
        "sha256:abc",
        f'"a,b",{ETAG}',
    ],
)
def test_a_client_that_holds_the_content_is_told_so(header: str) -> None:
    assert etag_matches(header, ETAG)
    assert etag_matches(header, f"W/{ETAG}")


@pytest.mark.parametrize(
    "header", ["", '""', '"sha256:ab"', '"SHA256:ABC"', '"*"', '"x sha256:abc"', '"sha256:abc'[1:] + "d", ","]
)
def test_a_client_that_holds_other_content_is_sent_this(header: str) -> None:
    assert not etag_matches(header, ETAG)


@pytest.mark.parametrize(
    ("if_range", "etag", "applies"),
    [
        (None, ETAG, True),
        (ETAG, ETAG, True),
        (f" {ETAG} ", ETAG, True),
        ('"other"', ETAG, False),
        (f"W/{ETAG}", ETAG, False),
        (f"W/{ETAG}", f"W/{ETAG}", False),
        ("Wed, 21 Oct 2015 07:28:00 GMT", ETAG, False),
        ("", ETAG, False),
    ],
)
def test_a_range_applies_to_the_very_bytes_only(if_range: str | None, etag: str, applies: bool) -> None:  # noqa: FBT001 - a column of the table.
    assert range_applies(if_range, etag) is applies
