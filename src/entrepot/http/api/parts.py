"""What the handlers of the API work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from entrepot.engine.budget import Budget
from entrepot.engine.fills import Fills
from entrepot.engine.inspection import Inspection
from entrepot.engine.listings import Lists
from entrepot.engine.manifests import Manifests
from entrepot.engine.purging import Purging
from entrepot.engine.scrub import Scrub
from entrepot.engine.sites import Sites
from entrepot.engine.warms import Warms
from entrepot.ports.audit import AuditLog
from entrepot.ports.catalogue import Catalogue
from entrepot.ports.clock import Clock
from entrepot.ports.condition import InspectedUpstream
from entrepot.ports.identity import Identities
from entrepot.ports.jobs import Jobs
from entrepot.ports.retention import Pins
from entrepot.telemetry.events import Events
from entrepot.telemetry.metrics import Metrics

__all__ = ["Parts"]


class Parts(Struct, frozen=True, kw_only=True):
    """``upstreams`` and ``settings`` give what is in force when they are called."""

    identities: Identities
    clock: Clock
    sites: Sites
    upstreams: Callable[[], Mapping[str, InspectedUpstream]]
    catalogue: Catalogue
    manifests: Manifests
    inspection: Inspection
    lists: Lists
    fills: Fills
    budget: Budget
    metrics: Metrics
    pins: Pins
    purging: Purging
    scrub: Scrub
    warms: Warms
    jobs: Jobs
    audit: AuditLog
    events: Events
    settings: Callable[[], dict[str, Any]]
