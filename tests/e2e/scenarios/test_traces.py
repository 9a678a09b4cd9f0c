"""A pull is told as a trace, from the client's own span to what the upstream was asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrepot.testing.collector import Collector
from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.programs import CacheProgram
from entrepot.testing.waiting import wait_until

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
LAYER = bytes(100_000)


def _spans(collector: Collector) -> list[dict[str, Any]]:
    found = [
        span
        for posted in collector.posted
        for span in posted.body["resourceSpans"][0]["scopeSpans"][0]["spans"]
    ]
    return [span for span in found if span["traceId"] == TRACE]


@pytest.mark.parametrize("by_variable", [True, False])
def test_a_cold_pull_is_told_with_what_it_waited_for(
    folder: Path,
    launch: Callable[[CacheProgram], CacheProgram],
    upstream: FakeRegistry,
    monkeypatch: pytest.MonkeyPatch,
    *,
    by_variable: bool,
) -> None:
    image = upstream.content.add_image("library/app", "1", layers=[LAYER])
    with Collector.in_thread() as collector:
        settings = {} if by_variable else {"telemetry": {"otlp_endpoint": collector.url}}
        if by_variable:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        cache = launch(CacheProgram(folder / "cache", {"docker.io": upstream.url}, **settings))
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert ask(cache.url, "/v2/library/app/manifests/1", headers=headers).body == image.content
        assert ask(cache.url, f"/v2/library/app/blobs/{image.layers[0]}", headers=headers).body == LAYER
        wait_until(lambda: len(_spans(collector)) >= 5, "the spans")
        cache.stop()
    spans = {span["name"]: span for span in _spans(collector)}
    assert set(spans) == {
        "GET manifest",
        "GET manifest of upstream",
        "GET blob",
        "GET blob of upstream",
        "fill",
    }
    for kind in ("manifest", "blob"):
        assert spans[f"GET {kind}"]["parentSpanId"] == PARENT
        assert spans[f"GET {kind} of upstream"]["parentSpanId"] == spans[f"GET {kind}"]["spanId"]
    assert spans["fill"]["parentSpanId"] == spans["GET blob"]["spanId"]
    assert not any("traceparent" in request.headers for request in upstream.requests)
