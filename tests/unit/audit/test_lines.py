from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.audit import lines as lines_module
from entrepot.audit.lines import AlikeLines, as_json, as_text, read_line
from entrepot.ports.audit import ActionEntry, AuditEntry, RequestEntry


def test_a_request_is_one_object_a_line_without_what_is_not_known(request_entry: RequestEntry) -> None:
    line = as_json(request_entry)
    assert line.endswith(b"\n")
    assert json.loads(line) == {
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
        "user_agent": "containerd/2.1",
    }


def test_an_action_is_one_object_a_line(action_entry: ActionEntry) -> None:
    assert json.loads(as_json(action_entry)) == {
        "event": "action",
        "time": "2026-01-02T03:04:06Z",
        "action": "purge",
        "remote": "10.0.0.8",
        "user": "ada",
        "upstream": "docker.io",
        "repository": "library/alpine",
        "detail": {"dry_run": True},
    }


def test_what_was_written_is_read_again(request_entry: RequestEntry, action_entry: ActionEntry) -> None:
    assert read_line(as_json(request_entry)) == request_entry
    assert read_line(as_json(action_entry)) == action_entry


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"\xff", b'{"event": "other"}', b'{"event": "request"}'])
def test_a_line_that_is_no_entry_is_none(line: bytes) -> None:
    assert read_line(line) is None


@pytest.mark.parametrize("path", ["/\udcff", '/\\ud800"\udcff', "/\\"])
def test_text_that_is_no_unicode_can_be_read_again(request_entry: RequestEntry, path: str) -> None:
    line = as_json(msgspec.structs.replace(request_entry, path=path))
    entry = read_line(line)
    assert isinstance(entry, RequestEntry)
    assert entry.path == path.replace("\udcff", "\\udcff")


TEXTS = st.text(st.one_of(st.characters(), st.sampled_from('"\\:.0,')))


@given(
    path=TEXTS,
    user_agent=st.one_of(
        st.none(), TEXTS, st.just('"remote":"","duration_seconds":0.0,"time":"1970-01-01T00:00:00Z"')
    ),
    remotes=st.lists(st.sampled_from(["10.0.0.7", "::1", "", 'x"y']), min_size=1),
    microseconds=st.lists(st.integers(0, 5_000_000), min_size=1),
)
def test_what_is_alike_is_written_as_it_would_be_alone(
    path: str, user_agent: str | None, remotes: list[str], microseconds: list[int]
) -> None:
    entry = RequestEntry(
        time=datetime.now(UTC),
        remote="10.0.0.1",
        user_agent=user_agent,
        method="GET",
        path=path,
        status=200,
        size=2,
        duration_seconds=0.5,
        cache="hit",
    )
    alike = AlikeLines(entry)
    now = 1_767_323_045.25
    for remote in remotes:
        lines = alike.of(now, remote, [number / 1e6 for number in microseconds]).splitlines(keepends=True)
        for line, number in zip(lines, microseconds, strict=True):
            time = datetime.fromtimestamp(now, UTC)
            same = msgspec.structs.replace(entry, time=time, remote=remote, duration_seconds=0.0)
            alone, together = json.loads(as_json(same)), json.loads(line)
            assert list(together) == list(alone)
            assert together.pop("duration_seconds") == pytest.approx(number / 1e6, abs=1.1e-6)
            assert alone.pop("duration_seconds") == 0.0
            assert together == alone
            assert line.endswith(b"\n")


def test_what_is_alike_remembers_nobody_who_asked(request_entry: RequestEntry) -> None:
    alike = AlikeLines(request_entry)
    alike.of(0.0, "10.0.0.0", [0.1])
    tracemalloc.start()
    try:
        for number in range(1000):
            (line,) = alike.of(0.0, f"10.0.0.{number}", [0.1]).splitlines()
            assert json.loads(line)["remote"] == f"10.0.0.{number}"
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10_000


def test_nothing_is_encoded_before_there_is_a_line_to_write(
    request_entry: RequestEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[AuditEntry] = []

    def encode(entry: AuditEntry) -> bytes:
        encoded.append(entry)
        return as_json(entry)

    monkeypatch.setattr(lines_module, "as_json", encode)
    alike = AlikeLines(request_entry)
    assert encoded == []
    for _ in range(2):
        alike.of(0.0, "10.0.0.7", [0.1])
    assert len(encoded) == 1


@pytest.mark.parametrize("written", [as_json, as_text])
def test_a_client_cannot_forge_a_line(written: type, request_entry: RequestEntry) -> None:
    line = written(msgspec.structs.replace(request_entry, path="/v2/\n\x1b[2J"))
    assert line.count(b"\n") == 1
    assert b"\x1b" not in line


def test_people_get_text(request_entry: RequestEntry, action_entry: ActionEntry) -> None:
    assert as_text(request_entry) == (
        b"2026-01-02 03:04:05 10.0.0.7 GET /v2/library/alpine/manifests/3 200 528 B 1.5 ms hit"
        b" docker.io/library/alpine\n"
    )
    assert as_text(action_entry) == (b"2026-01-02 03:04:06 10.0.0.8 ada purge docker.io/library/alpine\n")


def test_text_says_nothing_of_a_repository_where_there_is_none(request_entry: RequestEntry) -> None:
    entry = msgspec.structs.replace(request_entry, upstream=None, repository=None, reference=None, cache=None)
    assert as_text(entry).endswith(b" 1.5 ms -\n")


def test_text_tells_why_a_request_failed_and_obeys_nothing_in_it(request_entry: RequestEntry) -> None:
    entry = msgspec.structs.replace(request_entry, status=503, cache=None, reason="hub is\n\x1b[2J down")
    assert as_text(entry).endswith(b" 503 528 B 1.5 ms - docker.io/library/alpine hub is\\n\\x1b[2J down\n")
