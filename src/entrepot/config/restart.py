"""Which settings count only from the next start on."""

from __future__ import annotations

from operator import attrgetter

from entrepot.config.schema import Settings

__all__ = ["waiting_for_restart"]

_FIXED = (
    "listen",
    "tls",
    "data",
    "cache.memory",
    "cache.scrub",
    "admin",
    "audit",
    "telemetry",
    "warm",
    "log.access",
    "log.format",
)


def waiting_for_restart(started_with: Settings, now: Settings) -> list[str]:
    """Name those that have changed since the start."""
    return [name for name in _FIXED if attrgetter(name)(started_with) != attrgetter(name)(now)]
