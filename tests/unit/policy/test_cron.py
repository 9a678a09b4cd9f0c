from __future__ import annotations

from datetime import UTC, datetime

import pytest

from entrepot.policy.cron import Every, InvalidCron, check_cron, due_at


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("expression", "last", "due"),
    [
        ("0 3 * * *", "2026-03-01T03:00", "2026-03-02T03:00"),
        ("0 3 * * *", "2026-03-01T02:59", "2026-03-01T03:00"),
        ("*/15 * * * *", "2026-03-01T10:07", "2026-03-01T10:15"),
        ("0 9-17/4 * * mon-fri", "2026-03-06T17:30", "2026-03-09T09:00"),
        ("0 0 1 jan *", "2026-03-01T00:00", "2027-01-01T00:00"),
        ("30 2 29 2 *", "2026-03-01T00:00", "2028-02-29T02:30"),
        ("0 0 1,15 * *", "2026-03-01T00:00", "2026-03-15T00:00"),
        # Either of two restricted days will do, as cron has it.
        ("0 0 13 * 5", "2026-03-01T00:00", "2026-03-06T00:00"),
    ],
)
def test_a_cron_expression_is_due_at_its_next_moment_in_utc(expression: str, last: str, due: str) -> None:
    assert due_at(check_cron(expression), _at(last), _at(last)) == _at(due)


def test_a_missed_run_is_due_already() -> None:
    due = due_at(check_cron("0 3 * * *"), _at("2026-03-01T03:00"), _at("2026-03-09T12:00"))
    assert due == _at("2026-03-02T03:00")


def test_an_interval_is_counted_from_begin_to_begin() -> None:
    assert due_at(Every(60), 1000, 1010) == 1060


def test_a_clock_that_was_set_back_delays_nothing() -> None:
    assert due_at(Every(60), 9_000_000, 1000) == 1060


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "* * * * * *", "60 * * * *", "0 3 * * moonday", "0 0 30 2 *", "*/0 * * * *", "@daily"],
)
def test_what_is_no_cron_expression_is_refused(text: str) -> None:
    with pytest.raises(InvalidCron, match="expected"):
        check_cron(text)
