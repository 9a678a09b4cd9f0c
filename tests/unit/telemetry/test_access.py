from __future__ import annotations

import json
from datetime import UTC, datetime
from io import BytesIO

import msgspec
import pytest

from entrepot.telemetry.access import AccessEntry, AccessLog
from entrepot.telemetry.lines import LineWriter
from entrepot.telemetry.log import Style

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


def _written(style: Style, *entries: AccessEntry) -> bytes:
    stream = BytesIO()
    lines = LineWriter(stream.write, "log")
    log = AccessLog(lines, style)
    for entry in entries:
        log.record(entry)
    lines.close()
    return stream.getvalue()


def test_a_request_is_one_object_a_line() -> None:
    written = _written("json", ENTRY)
    assert written.endswith(b"\n")
    assert json.loads(written) == {
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


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_client_cannot_forge_a_line(style: Style) -> None:
    written = _written(style, _of("/v2/\n\x1b[2J"))
    assert written.count(b"\n") == 1
    assert b"\x1b" not in written


def test_text_that_is_no_unicode_is_written_all_the_same() -> None:
    line = json.loads(_written("json", _of("/\udcff")))
    assert (line["path"], line["event"], line["time"]) == (
        "/\udcff",
        "request",
        "2026-01-02T03:04:05.678000Z",
    )


def test_the_console_gets_text() -> None:
    assert _written("console", ENTRY) == (
        b"2026-01-02 03:04:05 10.0.0.7 GET /v2/library/alpine/manifests/3 200 528 B 1.5 ms hit"
        b" docker.io/library/alpine\n"
    )


def test_the_console_says_nothing_of_a_repository_where_there_is_none() -> None:
    entry = msgspec.structs.replace(ENTRY, upstream=None, repository=None, reference=None, cache=None)
    assert _written("console", entry).endswith(b" 1.5 ms -\n")


def test_the_console_tells_why_a_request_failed_and_obeys_nothing_in_it() -> None:
    entry = msgspec.structs.replace(ENTRY, status=503, cache=None, reason="hub is\n\x1b[2J down")
    assert _written("console", entry).endswith(
        b" 503 528 B 1.5 ms - docker.io/library/alpine hub is\\n\\x1b[2J down\n"
    )
