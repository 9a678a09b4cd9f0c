"""Counts what is asked of one upstream, as the metrics have it, and logs when it fails and recovers."""

from __future__ import annotations

from collections.abc import Callable

from entrepot.errors import EntrepotError, NotHere, RateLimited, Refused, UpstreamTimeout
from entrepot.policy.breaker import Health
from entrepot.ports.condition import Outcome
from entrepot.telemetry.log import log
from entrepot.telemetry.metrics import Metrics
from entrepot.upstream.answers import RateLimit
from entrepot.upstream.endpoint import Endpoint

__all__ = ["Observer", "outcome_of"]

_OUTCOMES = (
    (NotHere, Outcome.NOT_FOUND),
    (Refused, Outcome.REFUSED),
    (RateLimited, Outcome.RATE_LIMITED),
    (UpstreamTimeout, Outcome.TIMEOUT),
)
_HEALTHS = {Health.UP: 0, Health.PROBING: 1, Health.DOWN: 2}


def outcome_of(failure: EntrepotError) -> Outcome:
    return next((outcome for kind, outcome in _OUTCOMES if isinstance(failure, kind)), Outcome.ERROR)


class Observer:
    def __init__(self, upstream: str, metrics: Metrics) -> None:
        self._upstream = upstream
        self._metrics = metrics
        for outcome in ("started", "completed", "failed", "paused", "not_found"):
            metrics.fills(upstream, outcome)  # From nothing to the first is an increase too: see ``Family``.
        metrics.fills_running(upstream)

    def answered(self, kind: str, seconds: float) -> None:
        self._metrics.upstream_requests(self._upstream, kind, Outcome.OK).inc()
        self._metrics.upstream_seconds(self._upstream, kind).observe(seconds)

    def failed(self, kind: str, failure: EntrepotError) -> None:
        self._metrics.upstream_requests(self._upstream, kind, outcome_of(failure)).inc()

    def received(self, kind: str, size: int) -> None:
        self._metrics.received_bytes(self._upstream, kind).inc(size)

    def told(self, limit: RateLimit, is_over: Callable[[], bool]) -> None:
        """Show the limit, and as many requests left as were told until its window ``is_over``: then all."""
        self._metrics.ratelimit(self._upstream).set(limit.limit)
        self._metrics.ratelimit_remaining(self._upstream).set_function(
            lambda: limit.limit if is_over() else limit.remaining
        )
        if limit.window is not None:
            self._metrics.ratelimit_window(self._upstream).set(limit.window)

    def watch(self, endpoint: Endpoint) -> None:
        """Show how an endpoint is whenever the metrics are read, and log when its health changes.

        Time alone changes it; the log says that it is up when it has answered again.
        """
        metrics, labels = self._metrics, (self._upstream, endpoint.url)
        metrics.endpoint_health(*labels).set_function(lambda: _HEALTHS[endpoint.health])
        metrics.endpoint_retry(*labels).set_function(lambda: endpoint.retry_after)
        metrics.endpoint_waiting(*labels).set_function(lambda: endpoint.waiting)
        endpoint.changed = lambda reason: self._changed(endpoint, reason)

    def _changed(self, endpoint: Endpoint, reason: str | None) -> None:
        fields = {"upstream": self._upstream, "endpoint": endpoint.url}
        if reason is None:
            log.info("endpoint_up", **fields)
        else:
            log.warning("endpoint_down", **fields, reason=reason, retry_after=round(endpoint.retry_after, 3))
