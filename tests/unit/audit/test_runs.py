from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.audit.lines import AlikeLines, as_json, read_line
from entrepot.audit.runs import runs
from entrepot.ports.audit import RequestEntry

ENTRY = RequestEntry(
    time=datetime(2026, 1, 2, tzinfo=UTC),
    remote="10.0.0.7",
    method="GET",
    path="/v2/library/app/manifests/1",
    status=200,
    size=2,
    duration_seconds=0.5,
    cache="hit",
)
OTHERS = [
    msgspec.structs.replace(ENTRY, remote="10.0.0.8"),
    msgspec.structs.replace(ENTRY, cache="miss"),
    msgspec.structs.replace(ENTRY, cache=None),
    msgspec.structs.replace(ENTRY, path='/"duration_seconds":0.5,"cache":"hit"}'),
]


def text(*entries: RequestEntry) -> list[str]:
    return as_json(*entries).decode("latin-1").splitlines()


def alike(*seconds: float) -> list[str]:
    lines = AlikeLines(ENTRY).of(ENTRY.time.timestamp(), ENTRY.remote, seconds)
    return lines.decode("latin-1").splitlines()


def test_lines_that_differ_in_their_duration_are_one_run() -> None:
    lines = alike(0.000051, 0.25, 12.5, 0.0)
    assert list(runs(lines)) == [lines]


@pytest.mark.parametrize("other", OTHERS)
def test_what_differs_in_anything_else_is_another(other: RequestEntry) -> None:
    lines = [*alike(0.1, 0.2), *text(other), *alike(0.3)]
    assert list(map(len, runs(lines))) == [2, 1, 1]


@pytest.mark.parametrize("kept", [1, 40, 100, -1])
def test_a_torn_line_is_a_run_of_its_own(kept: int) -> None:
    whole = alike(0.1, 0.2, 0.3)
    torn = whole[1][:kept]
    assert list(runs([whole[0], torn, whole[2]])) == [whole[:1], [torn], whole[2:]]
    assert list(runs([torn, *whole])) == [[torn], whole]


def test_a_line_that_holds_two_is_none_of_a_run() -> None:
    whole = alike(0.1, 0.2)
    assert list(runs([whole[0], whole[0] + whole[1]])) == [whole[:1], [whole[0] + whole[1]]]


@given(
    st.lists(
        st.one_of(
            st.builds(lambda entry: text(entry)[0], st.sampled_from([ENTRY, *OTHERS])),
            st.builds(lambda seconds: alike(seconds)[0], st.floats(0, 9)),
            st.builds(lambda end: alike(0.5)[0][:end], st.integers(0, 400)),
            st.text(st.characters(codec="latin-1")),
        )
    )
)
def test_each_line_is_in_one_run_with_its_like_alone(lines: list[str]) -> None:
    found = [list(run) for run in runs(lines)]
    assert [line for run in found for line in run] == lines
    for run in found:
        if len(run) > 1:
            entries = [read_line(line.encode("latin-1")) for line in run]
            requests = [entry for entry in entries if isinstance(entry, RequestEntry)]
            assert len(requests) in {0, len(run)}
            assert len({msgspec.structs.replace(entry, duration_seconds=0.0) for entry in requests}) <= 1
