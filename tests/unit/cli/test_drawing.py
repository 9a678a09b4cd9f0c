from __future__ import annotations

import pytest

from entrepot.cli.drawing import draw_table

HEADINGS = ("JOB", "RUNS", "STATE", "LAST ENDED", "WHAT IT DOES")
ROWS = (
    ("reconcile-blobs", "every 6 h", "ok", "11 min ago", "Compares what is recorded with what is stored."),
    (
        "sync:nightly",
        "when there is reason to",
        "not run yet",
        "",
        "Fetches what the configuration names.",
    ),
)


def _drawn(width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    draw_table(HEADINGS, ROWS)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("width", [200, 80, 66])
def test_no_word_of_a_table_is_torn_where_the_terminal_is_wide_enough(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    lines = _drawn(width, capsys, monkeypatch)
    assert max(map(len, lines)) <= width
    told = " ".join(lines).split()
    assert sorted(told) == sorted(word for row in (HEADINGS, *ROWS) for cell in row for word in cell.split())


def test_a_terminal_too_narrow_for_a_table_gets_a_line_for_each_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _drawn(40, capsys, monkeypatch) == [
        "JOB           reconcile-blobs",
        "RUNS          every 6 h",
        "STATE         ok",
        "LAST ENDED    11 min ago",
        "WHAT IT DOES  Compares what is recorded",
        "              with what is stored.",
        "",
        "JOB           sync:nightly",
        "RUNS          when there is reason to",
        "STATE         not run yet",
        "WHAT IT DOES  Fetches what the",
        "              configuration names.",
    ]


def test_a_name_longer_than_all_else_is_folded_and_nothing_of_it_is_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    name = "registry.example/" + "a-part/" * 9 + "end"
    draw_table(("REPOSITORY", "TAGS"), [(name, "12")])
    told = capsys.readouterr().out.split()
    assert "".join(word for word in told if word not in ("REPOSITORY", "TAGS", "12")) == name
