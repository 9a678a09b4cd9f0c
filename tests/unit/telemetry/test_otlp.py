from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from entrepot.telemetry.otlp import exporting
from entrepot.telemetry.trace import Kind, trace
from entrepot.testing.collector import Collector

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector.in_thread() as collector:
        yield collector


@pytest.fixture
def dropped(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counts: list[int] = []
    monkeypatch.setattr(trace, "dropped", counts.append)
    return counts


def _spans(collector: Collector) -> list[dict[str, Any]]:
    return [
        span
        for posted in collector.posted
        for resource in posted.body["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def _request(failure: str | None = None, **attributes: str | int | None) -> None:
    root = trace.begin_request(f"00-{TRACE}-{PARENT}-01")
    assert root is not None
    with trace.span("ask", Kind.CLIENT):
        pass
    root.begun().end(failure, **attributes)


def test_spans_are_posted_as_the_protocol_has_it(collector: Collector) -> None:
    with exporting(collector.url, 1.0, 10):
        _request(None, size=5, path="/\udcff", user=None)
    (posted,) = collector.posted
    assert (posted.path, posted.headers["content-type"]) == ("/v1/traces", "application/json")
    (resource,) = posted.body["resourceSpans"]
    assert {"key": "service.name", "value": {"stringValue": "entrepot"}} in resource["resource"]["attributes"]
    ask, request = _spans(collector)
    assert (ask["traceId"], ask["parentSpanId"], ask["kind"]) == (TRACE, request["spanId"], 3)
    assert (request["traceId"], request["parentSpanId"], request["kind"]) == (TRACE, PARENT, 2)
    assert request["attributes"] == [
        {"key": "size", "value": {"intValue": "5"}},
        {"key": "path", "value": {"stringValue": "/\\udcff"}},
    ]
    assert int(request["startTimeUnixNano"]) <= int(request["endTimeUnixNano"])
    assert "status" not in request


def test_the_root_of_a_trace_has_no_parent_and_a_failure_has_its_reason(collector: Collector) -> None:
    with exporting(f"{collector.url}/", 1.0, 10):
        root = trace.begin_request(None)
        assert root is not None
        root.begun().end("the upstream hangs")
    (told,) = _spans(collector)
    assert "parentSpanId" not in told
    assert told["status"] == {"code": 2, "message": "the upstream hangs"}


def test_what_no_collector_takes_is_counted_and_the_log_says_so_once(
    collector: Collector, dropped: list[int]
) -> None:
    collector.status = 503
    place = collector.url.removeprefix("http://")
    with capture_logs() as lines, exporting(f"http://me:hunter2@{place}", 1.0, 10):
        _request()
    assert sum(dropped) == 2
    assert [(line["event"], line["collector"]) for line in lines] == [("spans_not_sent", place)]


def test_nothing_is_traced_after_the_end_nor_without_a_collector() -> None:
    seen = []
    with exporting("http://127.0.0.1:9", 1.0, 10):
        seen.append(trace.is_on)
    seen.append(trace.is_on)
    with exporting(None, 1.0, 10):
        seen.append(trace.is_on)
    assert seen == [True, False, False]
