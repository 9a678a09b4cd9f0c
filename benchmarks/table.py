"""The table: what is measured, what it is compared with and what is the bar."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["ENTREPOT", "NGINX", "REGISTRY", "ROWS", "Row", "Samples"]

ENTREPOT, REGISTRY, NGINX = "Entrepot", "Distribution", "nginx"

Samples = Mapping[str, Sequence[float]]
"""What was measured, round by round, by contestant."""


@dataclass(frozen=True, slots=True)
class Row:
    """``title`` has blobs' names for their sizes; ``scale`` divides what was measured.

    The value of a row with ``ratio`` is the median of the ratios to nginx, round by round.
    A row without a ``bar`` is there to be known.
    """

    key: str
    title: str
    unit: str
    bar: float | None
    at_least: bool = False
    ratio: bool = False
    scale: float = 1.0

    def value(self, samples: Samples, contestant: str) -> float | None:
        """Return the median over the rounds, ``None`` for a contestant that was not measured."""
        own = samples.get(contestant, ())
        if not own:
            return None
        if not self.ratio:
            return median(own) / self.scale
        limit = samples.get(NGINX, ())
        ratios = [value / best for value, best in zip(own, limit, strict=False)]
        return median(ratios) if ratios else None

    def absolute(self, samples: Samples, contestant: str) -> float | None:
        own = samples.get(contestant, ())
        return median(own) / self.scale if own else None

    def is_met(self, value: float | None) -> bool:
        if self.bar is None:
            return True
        compare = operator.ge if self.at_least else operator.le
        return value is not None and compare(value, self.bar)


_PER_SECOND, _SPEED = "answers/s", "MB/s"

ROWS = (
    Row("tag", "manifest by tag, warm", _PER_SECOND, 0.40, at_least=True, ratio=True),
    Row("digest", "manifest by digest", _PER_SECOND, 0.40, at_least=True, ratio=True),
    Row("small", "{small} blob", _PER_SECOND, 0.35, at_least=True, ratio=True),
    Row("large", "{large} blob, 4 clients", _SPEED, 0.95, at_least=True, ratio=True, scale=1e6),
    Row(
        "cold", "{cold} blob, cold, of a direct download", _SPEED, 0.50, at_least=True, ratio=True, scale=1e6
    ),
    Row(
        *("cold tls", "{cold} blob, cold, over TLS, of a direct download over TLS", _SPEED, None),
        ratio=True,
        scale=1e6,
    ),
    Row("herd", "50 clients, one cold {herd} blob: upstream downloads", "", 1.0),
    Row("warm", "10 warm tag GETs: upstream requests", "", 0.0),
    Row("first", "first pull of 7 layers: upstream requests", "", 12.0),
    Row("idle", "idle memory (PSS, all processes)", "MB", 90.0, scale=1e6),
    Row("on idle", "idle memory, with API, audit log, forwarding, traces and sync", "MB", 90.0, scale=1e6),
    Row(
        "watched",
        "manifest by tag: speed kept with log, audit log, syslog, webhook and traces on",
        "",
        0.90,
        at_least=True,
    ),
    Row(
        "watched pull",
        "warm pull, 4 blobs of {small}: speed kept with all of that on",
        "",
        0.90,
        at_least=True,
    ),
    Row("tag on", "manifest by tag, warm, with all of that on", _PER_SECOND, None, ratio=True),
    Row("crowd", "200 clients, one cold {crowd} blob: peak RSS", "MB", 200.0, scale=1e6),
    Row("hung", "cached tag, upstream hangs: first answer", "s", 2.5),
    Row("known", "cached tag, upstream hangs: slowest once known", "s", 0.1),
)
