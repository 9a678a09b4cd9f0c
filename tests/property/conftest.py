"""One profile for all property tests: no deadline, because a busy machine is no failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("entrepot", settings(), deadline=None)
settings.load_profile("entrepot")
