"""Compares what requests bring with what handlers ask for; the framework's own words are for programmers.

A parameter that no handler asks for is refused: a filter that is misspelt would match everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.exceptions import InternalServerException, SerializationException, ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute
from msgspec import Struct, inspect, structs

from entrepot.http.api.faults import Fault, bare, expected, fault_in
from entrepot.http.server.asgi import ClientDisconnected

__all__ = ["Malformed", "OnlyKnownParameters", "faults_of", "keep_body"]

_BODY = "data"
"""The name by which handlers ask for the body."""


class _Parameter(Struct, frozen=True):
    """``annotation`` is its type, with its bounds."""

    name: str
    is_required: bool
    is_header: bool
    annotation: Any

    @property
    def is_list(self) -> bool:
        return isinstance(bare(inspect.type_info(self.annotation)), inspect.ListType)


class OnlyKnownParameters:
    """A guard; what the framework itself answers is left alone."""

    def __init__(self) -> None:
        self._known: dict[int, dict[str, _Parameter]] = {}

    def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if "action" not in handler.opt:
            return
        own = connection.scope["route_handler"]  # Guards are given copies.
        known = self._known.get(id(own))
        if known is None:
            parameters = _parameters_of(own, connection.app, ("query",))
            known = self._known[id(own)] = {one.name: one for one in parameters}
        if faults := list(_misnamed(connection.query_params.keys(), known)):
            raise Malformed(*faults)


class Malformed(ValidationException):
    """Refuses a request for what is wrong with it."""

    def __init__(self, *faults: Fault) -> None:
        named = ", ".join(fault.key or "the body" for fault in faults)
        detail = f"{named} {'is' if len(faults) == 1 else 'are'} not as expected"
        super().__init__(detail, extra=[structs.asdict(fault) for fault in faults])


async def keep_body(request: Request[Any, Any, Any]) -> None:
    """Keep a body that is asked for, before the handler has it, for ``faults_of``.

    Raises ``ClientDisconnected`` where the body does not come to its end.
    """
    if _BODY in request.scope["route_handler"].parsed_fn_signature.parameters:
        try:
            request.state.body = await request.body()
        except InternalServerException as error:  # Its client is gone, or the server reads no more.
            raise ClientDisconnected("there is no more of the body") from error
        try:
            await request.json()  # Which is kept for the handler.
        except SerializationException:
            pass  # The handler meets it again.
        except RecursionError as error:
            raise Malformed(_too_deep(request.scope["route_handler"])) from error


def faults_of(request: Request[Any, Any, Any]) -> Iterator[Fault]:
    """Find what is wrong with the parameters of a request that was refused, and with its body."""
    handler = request.scope["route_handler"]
    for parameter in _parameters_of(handler, request.app, ("query", "path", "header")):
        for value in _values_of(request, parameter):
            if fault := fault_in(value, parameter.annotation):
                yield structs.replace(fault, key=parameter.name)
                break
    if "body" in request.state and (fault := _fault_in_body(request.state.body, handler)):
        yield fault


def _values_of(request: Request[Any, Any, Any], parameter: _Parameter) -> list[Any]:
    """Return what was given for a parameter, one by one where it takes several."""
    if parameter.is_header:
        return request.headers.getall(parameter.name, [])
    if parameter.name in request.path_params:
        return [request.path_params[parameter.name]]
    given = request.query_params.getall(parameter.name, [])
    return [[value] for value in given] if parameter.is_list else given


def _fault_in_body(body: bytes, handler: BaseRouteHandler) -> Fault | None:
    annotation = handler.signature_model.__annotations__[_BODY]
    shape = expected(inspect.type_info(annotation))
    if not body:
        return Fault(f"missing: {shape}, as JSON")
    try:
        return fault_in(msgspec.json.decode(body), annotation)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Fault(f"{shape}, as JSON, and it is none: {error}")
    except RecursionError:
        return _too_deep(handler)


def _too_deep(handler: BaseRouteHandler) -> Fault:
    shape = expected(inspect.type_info(handler.signature_model.__annotations__[_BODY]))
    return Fault(f"{shape}, and it is nested too deeply")


def _misnamed(given: Iterable[str], known: Mapping[str, _Parameter]) -> Iterator[Fault]:
    names = f"expected one of {', '.join(sorted(known))}" if known else "none is expected"
    for name in sorted(set(given) - known.keys()):
        yield Fault(f"unknown: {names}", name)
    for name in sorted(name for name, one in known.items() if one.is_required and name not in given):
        yield Fault(f"missing: {expected(inspect.type_info(known[name].annotation))}", name)


def _parameters_of(
    handler: BaseRouteHandler, application: Litestar, sources: tuple[str, ...]
) -> Iterator[_Parameter]:
    """Yield what the handler takes, itself or by what it depends on."""
    routes = (route for route in application.routes if isinstance(route, HTTPRoute))
    known = (pair for route in routes for pair in route.route_handler_map.values())
    model = next(model for own, model in known if own is handler)
    annotations = _annotations(handler)
    for source in sources:
        for one in getattr(model, f"expected_{source}_params"):
            annotation = annotations[one.field_name]
            yield _Parameter(one.field_alias, one.is_required, source == "header", annotation)


def _annotations(handler: BaseRouteHandler) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for provider in handler.resolve_dependencies().values():
        found |= provider.signature_model.__annotations__
    return found | handler.signature_model.__annotations__
