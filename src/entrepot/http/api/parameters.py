"""Refuses parameters that no handler asks for: a filter that is misspelt would match everything."""

from __future__ import annotations

from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.exceptions import ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute

__all__ = ["OnlyKnownParameters"]


class OnlyKnownParameters:
    """A guard; what the framework itself answers is left alone."""

    def __init__(self) -> None:
        self._known: dict[int, frozenset[str]] = {}

    def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        given = connection.query_params.keys()
        if not given or "action" not in handler.opt:
            return
        own = connection.scope["route_handler"]  # Guards are given copies.
        known = self._known.get(id(own))
        if known is None:
            known = self._known[id(own)] = _parameters_of(own, connection.app)
        if unknown := sorted(set(given) - known):
            expected = f"expected one of {', '.join(sorted(known))}" if known else "none is expected"
            raise ValidationException(
                f"no parameter {', '.join(unknown)} is known here",
                extra=[{"message": f"unknown: {expected}", "key": name} for name in unknown],
            )


def _parameters_of(handler: BaseRouteHandler, application: Litestar) -> frozenset[str]:
    """Return the names of the parameters that the handler, or what it depends on, takes from the query."""
    models = [
        model
        for route in application.routes
        if isinstance(route, HTTPRoute)
        for own, model in route.route_handler_map.values()
        if own is handler
    ]
    return frozenset(one.field_alias for model in models for one in model.expected_query_params)
