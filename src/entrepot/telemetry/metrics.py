"""Every metric, in one table: ``Metrics``, which a test compares with docs/metrics.md."""

from __future__ import annotations

from collections import Counter as Counts
from typing import Generic, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.openmetrics import exposition as open_metrics

from entrepot.telemetry.described import Described
from entrepot.telemetry.requests import RequestCounts

__all__ = ["OPEN_METRICS_TYPE", "TEXT_TYPE", "Family", "Metrics"]

Child = TypeVar("Child", Counter, Gauge, Histogram)

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

# Few, because an observation walks them: from an answer out of memory to a slow cold pull.
_SECONDS = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0)


class Family(Generic[Child]):
    """One metric; called with its labels' values it gives the child to count on.

    Finding the child by the values as they come takes a tenth of the 2 us that the library
    takes to find it.  Children are kept for good, so a label's values must be few: never a
    repository, a tag, nor anything else that clients make up.

    Prometheus sees no increase where a child begins with its first event.  Of what an alert must
    not miss, the children are made beforehand.
    """

    def __init__(self, parent: Child, labels: tuple[str, ...]) -> None:
        self._parent: Child = parent
        self.labels = labels
        self._children: dict[tuple[str | int, ...], Child] = {}

    def __call__(self, *values: str | int) -> Child:
        child = self._children.get(values)
        if child is None:
            child = self._parent.labels(*values) if self.labels else self._parent
            self._children[values] = child
        return child


class Metrics:
    """What is counted, in a registry of its own.

    Words of the labels: ``kind`` is manifest, blob, tags, referrers, catalog, api or other;
    ``outcome`` of a request is hit, revalidated, stale, miss, negative, error or none, of an
    upstream's answer ok, not_found, refused, rate_limited, timeout or error.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library lacks the annotation
        self._registry = CollectorRegistry()
        self._table: list[Described] = []
        ProcessCollector(registry=self._registry)
        self.request = RequestCounts()
        self._registry.register(self.request)
        self._table += self.request.table
        self.connections = self._gauge("connections", "", "Open connections of clients.")
        self.refusals = self._counter(
            "refusals_total", "status", "Requests refused unseen: malformed, too large, too many."
        )
        self.loop_lag = self._histogram(
            "event_loop_lag_seconds", "", "Seconds by which what was due ran late, sampled each second."
        )
        self.info = self._gauge("info", "version", "1; the label tells what runs.")
        self._measure_engine()
        self._measure_upstreams()
        self._measure_room()
        self._measure_upkeep()
        self._measure_logs()

    @property
    def table(self) -> tuple[Described, ...]:
        return tuple(self._table)

    def render(self, content_type: str = TEXT_TYPE) -> bytes:
        """Write all metrics, of one of the two types that there are."""
        write = open_metrics.generate_latest if content_type == OPEN_METRICS_TYPE else generate_latest
        return write(self._registry)

    def totals(self, name: str, by: str, **labels: str) -> dict[str, int]:
        """Sum up a counter since the start: by a label, where others have the values given."""
        sums: Counts[str] = Counts()
        for metric in self._registry.collect():
            for sample in metric.samples:
                if sample.name == f"entrepot_{name}" and labels.items() <= sample.labels.items():
                    sums[sample.labels[by]] += int(sample.value)
        return dict(sums)

    def _measure_engine(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.fills = counter(
            "fills_total",
            "upstream outcome",
            "Downloads: started, completed, failed, paused, not_found.",
        )
        self.fills_running = gauge("fills_running", "upstream", "Downloads of blobs in progress.")
        self.revalidations = counter(
            "revalidations_total", "upstream outcome", "Tags checked: unchanged, changed, gone, error."
        )

    def _measure_upstreams(self) -> None:
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self.upstream_requests = counter(
            "upstream_requests_total", "upstream kind outcome", "Requests sent to upstreams."
        )
        self.upstream_seconds = histogram(
            "upstream_request_seconds", "upstream kind", "Seconds from request to the answer's head."
        )
        self.received_bytes = counter(
            "received_bytes_total", "upstream kind", "Bytes of content received from upstreams."
        )
        self.endpoint_health = gauge(
            "endpoint_health", "upstream endpoint", "The endpoint's breaker: 0 up, 1 probing, 2 down."
        )
        self.endpoint_retry = gauge(
            "endpoint_retry_seconds", "upstream endpoint", "Seconds until it may be asked again; 0 for now."
        )
        self.endpoint_waiting = gauge(
            "endpoint_waiting_requests", "upstream endpoint", "Requests that wait for a connection to it."
        )
        self.ratelimit = gauge("ratelimit_limit", "upstream", "Requests that the upstream allows.")
        self.ratelimit_remaining = gauge(
            "ratelimit_remaining", "upstream", "Requests that are left of it; all, after its window."
        )
        self.ratelimit_window = gauge(
            "ratelimit_window_seconds", "upstream", "Seconds after which a request does not count any more."
        )

    def _measure_room(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.cache_bytes = gauge("cache_bytes", "", "Bytes that the data folder takes on its disk.")
        self.cache_limit = gauge(
            "cache_limit_bytes", "", "Bytes that it may take: of the budget, or the disk."
        )
        self.cache_watermark = gauge("cache_watermark_bytes", "", "Bytes past which eviction begins.")
        self.cache_blobs = gauge("cache_blobs", "", "Blobs in the store.")
        self.upstream_blob_bytes = gauge(
            "upstream_blob_bytes", "upstream", "Bytes that an upstream's blobs take on the disk."
        )
        self.evictions = counter("evictions_total", "kind reason", "Content evicted.")
        self.evicted_bytes = counter("evicted_bytes_total", "kind reason", "Bytes of content evicted.")

    def _measure_upkeep(self) -> None:
        counter, gauge = self._counter, self._gauge
        self.warms = counter("warms_total", "outcome", "Warms that ended: done, failed, cancelled.")
        self.warms_running = gauge("warms_running", "", "Warms that run.")
        self.warmed_images = counter(
            "warmed_images_total", "outcome", "Images of ended warms: warmed, failed, unsigned."
        )
        self.scrubbed = counter(
            "scrubbed_total", "content verdict", "Content read again: right, dropped, gone, failed."
        )
        self.scrubbed_bytes = counter("scrubbed_bytes_total", "", "Bytes of content read again.")
        self.scrubs = counter("scrubs_total", "", "Rounds in which all content was read again.")

    def _measure_logs(self) -> None:
        counter = self._counter
        self.audit_dropped = counter(
            "audit_lines_dropped_total", "", "Lines of the audit log that were lost."
        )
        self.audit_forwarded = counter(
            "audit_forwarded_lines_total", "target", "Lines of the audit log that were sent on."
        )
        self.audit_forward_failures = counter(
            "audit_forward_failures_total", "target", "Attempts at it that failed, and are repeated."
        )
        self.audit_forward_gaps = counter(
            "audit_forward_gaps_total", "target", "Times that files were gone before they were sent on."
        )
        self.spans_dropped = counter("spans_dropped_total", "", "Spans that no collector took.")
        self.log_lines_dropped = counter("log_lines_dropped_total", "", "Lines of the log that were lost.")

    def _counter(self, name: str, labels: str, meaning: str) -> Family[Counter]:
        row = self._row(name, "counter", labels, meaning)
        return Family(Counter(row.name, meaning, row.labels, registry=self._registry), row.labels)

    def _gauge(self, name: str, labels: str, meaning: str) -> Family[Gauge]:
        row = self._row(name, "gauge", labels, meaning)
        return Family(Gauge(row.name, meaning, row.labels, registry=self._registry), row.labels)

    def _histogram(self, name: str, labels: str, meaning: str) -> Family[Histogram]:
        row = self._row(name, "histogram", labels, meaning)
        histogram = Histogram(row.name, meaning, row.labels, registry=self._registry, buckets=_SECONDS)
        return Family(histogram, row.labels)

    def _row(self, name: str, kind: str, labels: str, meaning: str) -> Described:
        row = Described(f"entrepot_{name}", kind, tuple(labels.split()), meaning)
        self._table.append(row)
        return row
