"""One profile for all tests of properties: no deadline and no hurry, because a busy machine is no failure."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("entrepot", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("entrepot")
