from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO

import msgspec
import pytest

from entrepot.telemetry import access
from entrepot.telemetry.access import AccessEntry, AccessLog

ENTRY = AccessEntry(
    time=datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
    remote="10.0.0.7",
    method="GET",
    path="/v2/library/alpine/manifests/3",
    status=200,
    size=528,
    duration_seconds=0.0015,
    upstream="docker.io",
    repository="library/alpine",
    reference="3",
    cache="hit",
    user_agent="containerd/2.1",
)


def _of(path: str) -> AccessEntry:
    return msgspec.structs.replace(ENTRY, path=path)


@dataclass
class Tally:
    lines: int = 0

    def __call__(self, lines: int) -> None:
        self.lines += lines


@dataclass
class StuckStream(BytesIO):
    """Blocks its writer, as a pipe does that nobody reads, until it is released."""

    entered: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def write(self, lines: object, /) -> int:
        self.entered.set()
        assert self.released.wait(10)
        return super().write(lines)  # type: ignore[arg-type]  # bytes, from the log


class BrokenStream(BytesIO):
    def write(self, lines: object, /) -> int:
        raise BrokenPipeError


def _paths(stream: BytesIO) -> list[str]:
    return [json.loads(line)["path"] for line in stream.getvalue().splitlines()]


def test_a_request_is_one_object_a_line() -> None:
    stream = BytesIO()
    log = AccessLog(stream, "json", Tally())
    log.record(ENTRY)
    log.close()
    assert stream.getvalue().endswith(b"\n")
    assert json.loads(stream.getvalue()) == {
        "event": "request",
        "time": "2026-01-02T03:04:05.678000Z",
        "remote": "10.0.0.7",
        "method": "GET",
        "path": "/v2/library/alpine/manifests/3",
        "status": 200,
        "size": 528,
        "duration_seconds": 0.0015,
        "upstream": "docker.io",
        "repository": "library/alpine",
        "reference": "3",
        "cache": "hit",
        "reason": None,
        "user_agent": "containerd/2.1",
    }


def test_closing_writes_every_entry_in_order() -> None:
    stream, tally = BytesIO(), Tally()
    log = AccessLog(stream, "json", tally)
    for number in range(1234):
        log.record(_of(str(number)))
    log.close()
    assert _paths(stream) == [str(number) for number in range(1234)]
    assert tally.lines == 0


def test_entries_are_written_without_being_asked_for() -> None:
    stream = StuckStream()
    log = AccessLog(stream, "json", Tally())
    log.record(ENTRY)
    assert stream.entered.wait(10)
    stream.released.set()
    log.close()
    assert _paths(stream) == [ENTRY.path]


def test_beside_a_stuck_stream_entries_are_held_then_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "_MOST_LINES", 3)
    stream, tally = StuckStream(), Tally()
    log = AccessLog(stream, "json", tally)
    log.record(_of("first"))
    assert stream.entered.wait(10)
    for number in range(5):
        log.record(_of(str(number)))
    assert tally.lines == 2
    stream.released.set()
    log.close()
    assert _paths(stream) == ["first", "0", "1", "2"]


def test_a_stuck_stream_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_LONGEST_CLOSE", 0.0)
    stream = StuckStream()
    log = AccessLog(stream, "json", Tally())
    log.record(ENTRY)
    log.close()
    stream.released.set()


def test_what_a_broken_stream_refuses_is_counted_and_the_thread_goes_on() -> None:
    tally = Tally()
    log = AccessLog(BrokenStream(), "json", tally)
    for _ in range(700):
        log.record(ENTRY)
    log.close()
    assert tally.lines == 700


def test_a_client_cannot_forge_a_line() -> None:
    for style in ("json", "console"):
        stream = BytesIO()
        log = AccessLog(stream, style, Tally())
        log.record(_of("/v2/\n\x1b[2J"))
        log.close()
        assert stream.getvalue().count(b"\n") == 1
        assert b"\x1b" not in stream.getvalue()


def test_text_that_is_no_unicode_is_written_all_the_same() -> None:
    stream = BytesIO()
    log = AccessLog(stream, "json", Tally())
    log.record(_of("/\udcff"))
    log.close()
    line = json.loads(stream.getvalue())
    assert (line["path"], line["event"], line["time"]) == (
        "/\udcff",
        "request",
        "2026-01-02T03:04:05.678000Z",
    )


def test_the_console_gets_text() -> None:
    stream = BytesIO()
    log = AccessLog(stream, "console", Tally())
    log.record(ENTRY)
    log.close()
    assert stream.getvalue() == (
        b"2026-01-02 03:04:05 10.0.0.7 GET /v2/library/alpine/manifests/3 200 528 B 1.5 ms hit\n"
    )


def test_the_console_tells_why_a_request_failed_and_obeys_nothing_in_it() -> None:
    stream = BytesIO()
    log = AccessLog(stream, "console", Tally())
    log.record(msgspec.structs.replace(ENTRY, status=503, cache=None, reason="hub is\n\x1b[2J down"))
    log.close()
    assert stream.getvalue().endswith(b" 503 528 B 1.5 ms - hub is\\n\\x1b[2J down\n")
