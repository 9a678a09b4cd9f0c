from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.config.units import Amount, Bytes, Percent, Seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("5m", 300),
        ("12h", 43200),
        ("30d", 2592000),
        ("7", 7),
        ("1.5s", 1.5),
        ("0", 0),
        (" 5 s ", 5),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert Seconds.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "5 parsecs", "1e3", "٣s", "inf", "1s2", "9" * 400])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration like"):
        Seconds.parse(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("64KiB", 65536),
        ("500MB", 500_000_000),
        ("200GiB", 200 << 30),
        ("1TB", 10**12),
        ("1.5K", 1536),
        ("12B", 12),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert Bytes.parse(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1", "80%", "1gib", "9" * 400])
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size like"):
        Bytes.parse(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.5, "500ms"), (90, "90s"), (300, "5m"), (2592000, "30d"), (1.25, "1250ms")],
)
def test_durations_are_written_in_the_largest_unit_that_divides_them(seconds: float, text: str) -> None:
    assert Seconds(seconds).written() == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"),
        (1023, "1023"),
        (1536 << 20, "1536MiB"),
        (1 << 40, "1TiB"),
        (500_000_000, "500MB"),
        (2_000_000_000_000, "2TB"),
        (1_500, "1500"),
        (64_000, "64KB"),
    ],
)
def test_sizes_are_written_in_the_largest_unit_that_divides_them(size: int, text: str) -> None:
    assert Bytes(size).written() == text


@given(st.integers(0, 10**12), st.integers(0, 10**15 - 1))
def test_what_is_written_reads_as_the_same(milliseconds: int, size: int) -> None:
    assert Seconds.parse(Seconds(milliseconds / 1000).written()) == pytest.approx(
        milliseconds / 1000, rel=1e-12
    )
    assert Bytes.parse(Bytes(size).written()) == size


@pytest.mark.parametrize(("text", "share"), [("80%", 80), ("2.5 %", 2.5), ("100%", 100), ("0%", 0)])
def test_percentages_are_read_as_people_write_them(text: str, share: float) -> None:
    assert Percent.parse(text) == share


@pytest.mark.parametrize("text", ["", "%", "80", "101%", "-1%", "1e1%", "80 percent"])
def test_what_is_no_percentage_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="expected a percentage like 80%"):
        Percent.parse(text)


@pytest.mark.parametrize(("text", "size"), [("200GiB", 200 << 30), ("80%", 800), ("0", 0), ("0.1%", 1)])
def test_a_part_of_a_disk_is_a_size_or_a_share_of_it(text: str, size: int) -> None:
    assert Amount.parse(text).of(1000) == size


@pytest.mark.parametrize("text", ["", "lots", "80%%", "101%"])
def test_what_is_no_part_of_a_disk_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a (size like 200GiB or a )?percentage like 80%"):
        Amount.parse(text)


@pytest.mark.parametrize("text", ["200GiB", "80%", "2.5%", "0"])
def test_a_part_of_a_disk_is_written_as_it_was_read(text: str) -> None:
    amount = Amount.parse(text)
    assert amount.written() == text
    assert amount == Amount.parse(text)
    assert len({amount, Amount.parse(text)}) == 1
    assert amount != text
