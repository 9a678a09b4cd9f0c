from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from entrepot.audit import reader
from entrepot.audit.files import AuditFiles, Keeping
from entrepot.audit.folder import audit_files
from entrepot.audit.lines import as_json
from entrepot.audit.reader import read_page
from entrepot.errors import StoreFailed
from entrepot.ports.audit import ActionEntry, AuditEntry, AuditQuery, InvalidCursor, RequestEntry

BEGUN = datetime(2026, 1, 2, 3, 0, 0, tzinfo=UTC)
ANY = AuditQuery()


def _write(folder: Path, entries: list[AuditEntry], file_size: int = 1000) -> None:
    keeping = Keeping(file_size=file_size, file_seconds=1e9, size=1 << 30, seconds=1e9, files=1000)
    files = AuditFiles(folder, keeping, BEGUN.timestamp)
    for entry in entries:
        files.append(as_json(entry))
    files.close()


def _all(folder: Path, query: AuditQuery, limit: int) -> list[AuditEntry]:
    page = read_page(folder, query, limit)
    found = list(page.entries)
    while page.cursor is not None:
        assert len(page.entries) <= limit
        page = read_page(folder, query, limit, page.cursor)
        found += page.entries
    return found


@pytest.fixture
def entries(request_entry: RequestEntry) -> list[RequestEntry]:
    return [
        msgspec.structs.replace(
            request_entry,
            time=BEGUN + timedelta(seconds=number),
            path=f"/{number}",
            remote=f"10.0.0.{number % 3}",
            repository=f"library/{number % 4}",
        )
        for number in range(60)
    ]


@pytest.fixture(params=[10, 333, 1 << 16])
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_BLOCK", request.param)


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("limit", [1, 7, 59, 60, 1000])
@pytest.mark.parametrize("file_size", [1, 1000, 1 << 20])
def test_every_entry_is_found_once_and_the_newest_first(
    tmp_path: Path, entries: list[AuditEntry], limit: int, file_size: int
) -> None:
    _write(tmp_path, entries, file_size)
    assert _all(tmp_path, ANY, limit) == entries[::-1]


def test_a_question_that_looks_through_much_is_answered_a_part_at_a_time(
    tmp_path: Path, entries: list[AuditEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_MOST_READ", 1000)
    _write(tmp_path, entries)
    first = read_page(tmp_path, AuditQuery(repository="library/none"), 10)
    assert first.entries == []
    assert first.cursor is not None
    assert _all(tmp_path, AuditQuery(repository="library/3"), 10) == [
        entry for entry in entries[::-1] if entry.repository == "library/3"
    ]


def test_entries_are_found_by_time(tmp_path: Path, entries: list[AuditEntry]) -> None:
    _write(tmp_path, entries)
    query = AuditQuery(since=entries[10].time, until=entries[20].time)
    assert _all(tmp_path, query, 3) == entries[20:9:-1]


def test_entries_are_found_by_address_and_by_repository(tmp_path: Path, entries: list[RequestEntry]) -> None:
    _write(tmp_path, list(entries))
    found = _all(tmp_path, AuditQuery(caller="10.0.0.2", upstream="docker.io", repository="library/3"), 3)
    assert found == [
        entry for entry in entries[::-1] if (entry.remote, entry.repository) == ("10.0.0.2", "library/3")
    ]


def test_a_part_of_a_name_finds_nothing(tmp_path: Path, entries: list[AuditEntry]) -> None:
    _write(tmp_path, entries)
    assert _all(tmp_path, AuditQuery(caller="10.0.0"), 100) == []
    assert _all(tmp_path, AuditQuery(caller="docker.io"), 100) == []


def test_actions_are_found_by_user_and_by_kind(
    tmp_path: Path, entries: list[AuditEntry], action_entry: ActionEntry
) -> None:
    _write(tmp_path, [*entries, action_entry])
    assert _all(tmp_path, AuditQuery(caller="ada"), 5) == [action_entry]
    assert _all(tmp_path, AuditQuery(events=("action",)), 5) == [action_entry]
    assert _all(tmp_path, AuditQuery(events=("request",)), 5) == entries[::-1]
    assert _all(tmp_path, AuditQuery(events=("action", "request")), 5) == [action_entry, *entries[::-1]]


@pytest.mark.parametrize(
    ("method", "path", "is_pull"),
    [
        ("GET", "/v2/library/app/manifests/1", True),
        ("HEAD", "/v2/ghcr.io/team/app/manifests/1?ns=docker.io", True),
        ("GET", "/ghcr.io/v2/app/blobs/sha256:00", True),
        ("GET", "/v2/", False),
        ("GET", "/v2/library/app/tags/list", False),
        ("GET", "/v2/library/app/referrers/sha256:00", False),
        ("PUT", "/v2/library/app/manifests/1", False),
        ("GET", "/readyz", False),
        ("GET", "/api/v1/manifests/1", False),
    ],
)
def test_pulls_are_requests_of_manifests_and_blobs(
    tmp_path: Path,
    request_entry: RequestEntry,
    action_entry: ActionEntry,
    method: str,
    path: str,
    *,
    is_pull: bool,
) -> None:
    entry = msgspec.structs.replace(request_entry, method=method, path=path)
    _write(tmp_path, [entry, action_entry])
    assert _all(tmp_path, AuditQuery(events=("pull",)), 5) == [entry] * is_pull
    assert action_entry in _all(tmp_path, AuditQuery(events=("pull", "action")), 5)


def test_pages_go_on_where_they_were_while_entries_arrive_and_go(
    tmp_path: Path, entries: list[AuditEntry]
) -> None:
    _write(tmp_path, entries[:50])
    first = read_page(tmp_path, ANY, 10)
    _write(tmp_path, entries[50:])
    audit_files(tmp_path)[0].unlink()
    second = read_page(tmp_path, ANY, 10, first.cursor)
    assert first.entries + second.entries == entries[49:29:-1]


def test_what_is_no_entry_is_passed_over(tmp_path: Path, entries: list[AuditEntry]) -> None:
    _write(tmp_path, entries[:1])
    (path,) = audit_files(tmp_path)
    good = path.read_bytes()
    path.write_bytes(b"torn" + good + b"\n\n{}\n" + good + good[:40])
    assert _all(tmp_path, ANY, 10) == entries[:1]


def test_a_line_longer_than_any_takes_no_memory_and_hides_no_other(
    tmp_path: Path, entries: list[AuditEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "_LONGEST_LINE", 4000)
    monkeypatch.setattr(reader, "_BLOCK", 1000)
    _write(tmp_path, entries[:2], 1 << 20)
    (path,) = audit_files(tmp_path)
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + bytes(20_000) + b"\n" + second)
    assert _all(tmp_path, ANY, 10) == entries[1::-1]


def test_nothing_was_recorded_yet(tmp_path: Path) -> None:
    page = read_page(tmp_path / "none", ANY, 10)
    assert (page.entries, page.cursor) == ([], None)


@pytest.mark.parametrize("cursor", ["", "1", "../x:1", "audit-20260102T030405.250000Z.jsonl:x", "audit:1"])
def test_a_cursor_that_no_page_gave_is_refused(tmp_path: Path, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        read_page(tmp_path, ANY, 10, cursor)


def test_files_that_cannot_be_read_are_a_failure(tmp_path: Path) -> None:
    (tmp_path / "audit-20260102T030405.250000Z.jsonl").mkdir()
    with pytest.raises(StoreFailed, match="cannot be read: Is a directory"):
        read_page(tmp_path, ANY, 10)
