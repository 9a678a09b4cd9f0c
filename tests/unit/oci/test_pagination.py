from __future__ import annotations

import pytest

from entrepot.oci.pagination import (
    InvalidPageSize,
    PageRequest,
    next_link,
    paginate,
    parse_next_link,
    parse_page,
)

TAGS = ["1", "2", "a", "b", "c"]


@pytest.mark.parametrize(
    ("n", "last", "page"),
    [
        (None, None, PageRequest(None, "")),
        ("0", None, PageRequest(0, "")),
        ("10", "a", PageRequest(10, "a")),
        ("007", "", PageRequest(7, "")),
        ("999999999", None, PageRequest(999_999_999, "")),
    ],
)
def test_a_page_is_read_from_the_query(n: str | None, last: str | None, page: PageRequest) -> None:
    assert parse_page(n, last) == page


@pytest.mark.parametrize(
    "n",
    ["", "-1", "+1", "1.5", "1e3", "abc", " 1", "1\n", "0x10", "\u0661", "9" * 10, "9" * 10_000],
    ids=lambda n: n[:12],
)
def test_a_page_size_that_is_no_small_number_is_refused(n: str) -> None:
    with pytest.raises(InvalidPageSize):
        parse_page(n, None)


@pytest.mark.parametrize(
    ("size", "last", "items", "next_last"),
    [
        (None, "", TAGS, None),
        (None, "a", ["b", "c"], None),
        (2, "", ["1", "2"], "2"),
        (2, "2", ["a", "b"], "b"),
        (2, "b", ["c"], None),
        (5, "", TAGS, None),
        (3, "2", ["a", "b", "c"], None),
        (2, "aa", ["b", "c"], None),
        (2, "zzz", [], None),
        (0, "", [], None),
    ],
)
def test_a_page_ends_where_the_next_begins(
    size: int | None, last: str, items: list[str], next_last: str | None
) -> None:
    assert paginate(TAGS, PageRequest(size, last)) == (items, next_last)


def test_the_link_to_the_next_page_keeps_the_namespace() -> None:
    assert next_link("/v2/a/tags/list", 10, "b") == '</v2/a/tags/list?n=10&last=b>; rel="next"'
    assert (
        next_link("/v2/a/tags/list", 10, "b", "docker.io")
        == '</v2/a/tags/list?n=10&last=b&ns=docker.io>; rel="next"'
    )


def test_the_link_to_the_next_page_escapes_what_would_end_it() -> None:
    link = next_link("/v2/_catalog", 1, "a>&\r\nb/c")
    assert link == '</v2/_catalog?n=1&last=a%3E%26%0D%0Ab%2Fc>; rel="next"'


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('</v2/a/tags/list?n=1&last=b>; rel="next"', "/v2/a/tags/list?n=1&last=b"),
        ("</v2/x>;rel=next", "/v2/x"),
        ('<https://a.example/v2/x?y=,z>; REL="Next"', "https://a.example/v2/x?y=,z"),
        ('</first>; rel="first", </next>; rel="next"', "/next"),
        ('</next>; rel="last next"; title="a, b; c"', "/next"),
        ('</next>; title="; rel=prev"; rel=next', "/next"),
        ('</x>; title="; rel=next"', None),
        ('</x>; rel="prev"', None),
        ("</x>", None),
        ("</x; rel=next", None),
        ("", None),
        ("<<<>>>; rel=next", None),
    ],
)
def test_the_target_of_the_next_page_is_read(header: str, target: str | None) -> None:
    assert parse_next_link(header) == target
