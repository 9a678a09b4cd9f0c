"""Counts requests without the metrics library on their way: it is handed the sums when it is scraped."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from entrepot.telemetry.described import Described

__all__ = ["RequestCounts", "RequestTally"]

# Few, for each is a line per upstream, kind and outcome: from an answer out of memory to a slow cold pull.
_BOUNDS = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0)

_REQUESTS = Described(
    "entrepot_requests_total", "counter", ("upstream", "kind", "outcome", "status"), "Requests answered."
)
_SECONDS = Described(
    "entrepot_request_seconds",
    "histogram",
    ("upstream", "kind", "outcome"),
    "From its head to the end of its answer.",
)
_SENT = Described(
    "entrepot_sent_bytes_total", "counter", ("upstream", "kind"), "Bytes of content sent to clients."
)


class RequestTally:
    """The requests that have all labels in common."""

    __slots__ = ("buckets", "count", "seconds", "sent_bytes")

    def __init__(self) -> None:
        self.count = 0
        self.sent_bytes = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(_BOUNDS) + 1)

    def add(self, seconds: float, sent_bytes: int) -> None:
        self.count += 1
        self.sent_bytes += sent_bytes
        self.seconds += seconds
        self.buckets[bisect_left(_BOUNDS, seconds)] += 1


class RequestCounts(Collector):
    """Labels must be of few values, as with ``Family``: their tallies are kept for good."""

    table = (_REQUESTS, _SECONDS, _SENT)

    def __init__(self) -> None:
        self._tallies: defaultdict[tuple[str, str, str, int], RequestTally] = defaultdict(RequestTally)

    def __call__(self, upstream: str, kind: str, outcome: str, status: int) -> RequestTally:
        return self._tallies[upstream, kind, outcome, status]

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(_REQUESTS.name, _REQUESTS.meaning, labels=_REQUESTS.labels)
        sent = CounterMetricFamily(_SENT.name, _SENT.meaning, labels=_SENT.labels)
        sent_bytes: defaultdict[tuple[str, str], int] = defaultdict(int)
        for (upstream, kind, outcome, status), tally in self._tallies.items():
            requests.add_metric([upstream, kind, outcome, str(status)], tally.count)
            sent_bytes[upstream, kind] += tally.sent_bytes
        for labels, total in sent_bytes.items():
            sent.add_metric(labels, total)
        return iter((requests, self._durations(), sent))

    def _durations(self) -> HistogramMetricFamily:
        durations = HistogramMetricFamily(_SECONDS.name, _SECONDS.meaning, labels=_SECONDS.labels)
        sums: defaultdict[tuple[str, str, str], RequestTally] = defaultdict(RequestTally)
        for (upstream, kind, outcome, _), tally in self._tallies.items():
            total = sums[upstream, kind, outcome]
            total.seconds += tally.seconds
            total.buckets = [mine + more for mine, more in zip(total.buckets, tally.buckets, strict=True)]
        for labels, total in sums.items():
            bounds = [*map(str, _BOUNDS), "+Inf"]
            buckets = list(zip(bounds, accumulate(total.buckets), strict=True))
            durations.add_metric(labels, buckets, total.seconds)
        return durations
