from __future__ import annotations

from typing import Any

from entrepot.telemetry.events import Events


def _told(**fields: Any) -> Events:
    events = Events()
    events(None, "info", {"event": "word", "level": "info", "time": "now", **fields})
    return events


def test_a_line_passes_unchanged() -> None:
    line = {"event": "word", "level": "info", "time": "now", "size": 3}
    assert Events()(None, "info", line) is line
    assert line == {"event": "word", "level": "info", "time": "now", "size": 3}


def test_the_newest_thousand_are_kept_under_their_numbers() -> None:
    events = Events()
    for number in range(1005):
        events(None, "info", {"event": str(number)})
    kept = events.newest_first()
    assert (len(kept), kept[0].number, kept[0].event, kept[-1].number) == (1000, 1005, "1004", 6)


def test_fields_are_what_json_knows_and_never_long() -> None:
    failure = OSError("no room")
    (event,) = _told(
        size=3,
        ok=True,
        none=None,
        names=["a"] * 50,
        failures={"a": 1, "b": object},
        text="x" * 9999,
        failure=failure,
        half="\ud800",
    ).newest_first()
    assert event.fields == {
        "size": 3,
        "ok": True,
        "none": None,
        "names": ["a"] * 20,
        "failures": {"a": 1, "b": "<class 'object'>"},
        "text": "x" * 500,
        "failure": "OSError('no room')",
        "half": "?",
    }
