"""Sends spans to a collector: OTLP over HTTP, in JSON (opentelemetry-proto, "JSON Protobuf Encoding")."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from urllib.parse import urlsplit

import msgspec

from entrepot.telemetry.lines import LineWriter
from entrepot.telemetry.log import log
from entrepot.telemetry.post import Poster
from entrepot.telemetry.trace import Span, trace

__all__ = ["SpanExporter", "exporting"]

_BATCH_BYTES = 256 << 10
"""What collectors take at once is bounded."""
_FAILED = 2
"""Of OpenTelemetry's ``Status.StatusCode``."""


@contextmanager
def exporting(endpoint: str | None, share: float, plain_a_second: int) -> Iterator[None]:
    """Trace requests until the end of the block as ``Tracing.configure`` has it, if there is a collector.

    Without ``endpoint`` it is that of the environment variable OTEL_EXPORTER_OTLP_ENDPOINT.
    """
    endpoint = endpoint or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint:
        yield
        return
    exporter = SpanExporter(endpoint)
    trace.configure(exporter.put, share, plain_a_second)
    try:
        yield
    finally:
        trace.configure(None)
        exporter.close()


class SpanExporter:
    """Posts the spans of 0.2 s at once, from a thread; what a collector does not take is lost, and counted.

    ``endpoint`` is the collector's base URL, as in OTEL_EXPORTER_OTLP_ENDPOINT.
    """

    def __init__(self, endpoint: str) -> None:
        self._poster = Poster(f"{endpoint.rstrip('/')}/v1/traces", {"Content-Type": "application/json"})
        self._collector = urlsplit(endpoint).netloc.rpartition("@")[2]  # Without a password.
        self._frame = _frame()
        self._is_failing = False
        self._lines = LineWriter(self._post, "trace", batch_bytes=_BATCH_BYTES)
        self._lines.dropped = self._drop

    def put(self, span: Span) -> None:
        self._lines.put(msgspec.json.encode(_as_json(span)) + b"\n")

    def close(self) -> None:
        """Send what is held, for two seconds at most."""
        self._lines.close()
        self._poster.close()

    def _drop(self, spans: int) -> None:
        trace.dropped(spans)

    def _post(self, lines: bytes) -> None:
        head, tail = self._frame
        try:
            self._poster.post(head + b",".join(lines.splitlines()) + tail)
        except OSError as failure:
            if not self._is_failing:
                reason = failure.strerror or str(failure)
                log.warning("spans_not_sent", collector=self._collector, reason=reason)
            self._is_failing = True
            raise
        if self._is_failing:
            log.info("spans_sent_again")
        self._is_failing = False


def _frame() -> tuple[bytes, bytes]:
    """Return what stands before and after the spans of a request."""
    scope = {"name": "entrepot", "version": version("entrepot")}
    attributes = {
        "service.name": "entrepot",
        "service.version": scope["version"],
        "host.name": socket.gethostname(),
    }
    resource = {"attributes": [_attribute(name, value) for name, value in attributes.items()]}
    scoped = {"scope": scope, "spans": ["HERE"]}
    text = msgspec.json.encode({"resourceSpans": [{"resource": resource, "scopeSpans": [scoped]}]})
    head, _, tail = text.partition(b'"HERE"')
    return head, tail


def _as_json(span: Span) -> dict[str, object]:
    """Ids are in hexadecimal, and numbers of 64 bits are texts."""
    fields: dict[str, object] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": int(span.kind),
        "startTimeUnixNano": str(span.begun_at),
        "endTimeUnixNano": str(span.ended_at),
        "attributes": [
            _attribute(name, value) for name, value in span.attributes.items() if value is not None
        ],
    }
    if span.parent_id:
        fields["parentSpanId"] = span.parent_id
    if span.failure is not None:
        fields["status"] = {"code": _FAILED, "message": _as_text(span.failure)}
    return fields


def _attribute(name: str, value: str | int) -> dict[str, object]:
    told = {"intValue": str(value)} if isinstance(value, int) else {"stringValue": _as_text(value)}
    return {"key": name, "value": told}


def _as_text(text: str) -> str:
    """Write what is no Unicode, from a header's bytes, as the escapes that Python has for it."""
    return text.encode("utf-8", "backslashreplace").decode()
