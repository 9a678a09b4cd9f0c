from __future__ import annotations

import pytest

from entrepot.oci.range import (
    ByteRange,
    ContentRange,
    Unsatisfiable,
    parse_content_range,
    parse_range,
    range_header,
)

SIZE = 1000


@pytest.mark.parametrize(
    ("header", "ranges"),
    [
        ("bytes=0-499", [(0, 500)]),
        ("bytes=500-999", [(500, 1000)]),
        ("bytes=0-0", [(0, 1)]),
        ("bytes=999-999", [(999, 1000)]),
        ("bytes=990-", [(990, 1000)]),
        ("bytes=0-", [(0, 1000)]),
        ("bytes=-10", [(990, 1000)]),
        ("bytes=-5000", [(0, 1000)]),
        ("bytes=900-99999999999999999999", [(900, 1000)]),
        ("BYTES=0-9", [(0, 10)]),
        ("bytes = 0-9", [(0, 10)]),
        ("bytes=0-9,20-29", [(0, 10), (20, 30)]),
        ("bytes=0-9 , 20-29", [(0, 10), (20, 30)]),
        ("bytes=,0-9,,20-29,", [(0, 10), (20, 30)]),
        ("bytes=20-29,0-9", [(20, 30), (0, 10)]),
        ("bytes=0-9,10-19", [(0, 10), (10, 20)]),
        ("bytes=0-9,2000-2999", [(0, 10)]),
        ("bytes=0-9,-0", [(0, 10)]),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(0, 32, 2)), [(n, n + 1) for n in range(0, 32, 2)]),
    ],
)
def test_satisfiable_ranges_are_half_open_and_in_the_order_asked(
    header: str, ranges: list[tuple[int, int]]
) -> None:
    assert parse_range(header, SIZE) == tuple(ByteRange(*item) for item in ranges)


@pytest.mark.parametrize(
    ("header", "ranges"),
    [
        ("bytes=0-9,5-19", [(0, 20)]),
        ("bytes=5-19,0-9", [(0, 20)]),
        ("bytes=0-99,10-19", [(0, 100)]),
        ("bytes=0-,0-,0-", [(0, 1000)]),
        ("bytes=500-,-700,10-19", [(10, 20), (300, 1000)]),
    ],
)
def test_overlapping_ranges_are_merged(header: str, ranges: list[tuple[int, int]]) -> None:
    assert parse_range(header, SIZE) == tuple(ByteRange(*item) for item in ranges)


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=-0", "bytes=5000-6000,7000-"])
def test_ranges_beyond_the_content_are_unsatisfiable(header: str) -> None:
    answer = parse_range(header, SIZE)
    assert answer == Unsatisfiable(SIZE)
    assert answer.content_range() == "bytes */1000"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=a-b",
        "bytes=5",
        "bytes=9-0",
        "bytes=0-9,9-0",
        "bytes=0-9,x",
        "bytes=0-9;10-19",
        "bytes=--5",
        "bytes=+1-5",
        "bytes=1 -5",
        "bytes=0x0-5",
        "bytes=\u0660-\u0661",
        "items=0-9",
        "0-9",
        "bytes:0-9",
        "bytes=" + "9" * 21 + "-",
        "bytes=" + ",".join(["0-0"] * 17),
        "bytes=" + "0-," * 100_000,
    ],
    ids=lambda header: header[:24],
)
def test_a_header_that_makes_no_sense_is_ignored(header: str) -> None:
    assert parse_range(header, SIZE) is None


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-5", "bytes=0-0"])
def test_empty_content_is_sent_whole(header: str) -> None:
    assert parse_range(header, 0) is None


def test_a_part_says_where_it_lies() -> None:
    assert ByteRange(5, 10).content_range(SIZE) == "bytes 5-9/1000"
    assert len(ByteRange(5, 10)) == 5


def test_the_header_for_an_upstream_is_inclusive() -> None:
    assert range_header(5, 10) == "bytes=5-9"
    assert range_header(5) == "bytes=5-"


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes 0-9/10", ContentRange(0, 10, 10)),
        ("bytes 5-9/*", ContentRange(5, 10, None)),
        ("Bytes  5-9/10 ", ContentRange(5, 10, 10)),
        ("bytes */10", None),
        ("bytes 9-5/10", None),
        ("bytes 0-10/10", None),
        ("bytes 0-9", None),
        ("bytes=0-9/10", None),
        ("items 0-9/10", None),
        ("", None),
    ],
)
def test_the_place_of_a_part_is_read(header: str, part: ContentRange | None) -> None:
    assert parse_content_range(header) == part
