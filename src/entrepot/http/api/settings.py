"""Settings: those in force, secrets hidden."""

from __future__ import annotations

from typing import Any

from litestar import get

from entrepot.http.api.given import TheParts
from entrepot.http.api.guard import needs
from entrepot.http.api.problems import problems
from entrepot.policy.permission import Action

__all__ = ["HANDLERS"]


@get("/settings", opt=needs(Action.SEE), responses=problems(), tags=["settings"])
async def get_settings(parts: TheParts) -> dict[str, Any]:
    """Tell the settings in force, in the form of the configuration file, with `********` for secrets."""
    return parts.settings()


HANDLERS = [get_settings]
