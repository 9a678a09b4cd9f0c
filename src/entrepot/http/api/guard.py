"""Lets callers through who may do what they ask for, and slows down those who guess at tokens."""

from __future__ import annotations

import math
from typing import Any, assert_never

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException, TooManyRequestsException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from entrepot.policy.permission import Action, Caller, Permission, permit
from entrepot.ports.clock import Clock
from entrepot.ports.identity import Identities

__all__ = ["Guard", "needs"]

_SLOWED_SECONDS = 1.0
_MOST_SLOWED = 16
_CHALLENGE = 'Bearer realm="entrepot"'


def needs(action: Action) -> dict[str, Any]:
    """Say as an ``opt`` of a handler what a caller does by it."""
    return {"action": action}


class Guard:
    """A wrong token waits a second for its answer, and when too many wait the next is turned away.

    A right one never waits: nobody can lock the administrator out by guessing.
    """

    def __init__(self, identities: Identities, clock: Clock) -> None:
        self._identities = identities
        self._clock = clock
        self._slowed = 0

    async def __call__(
        self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        caller = await self._caller(connection.headers.get("authorization", ""))
        # What can be asked of a path is the framework's own handler, which knows of no actions.
        is_asking = isinstance(handler, HTTPRouteHandler) and handler.http_methods == {"OPTIONS"}
        match permit(caller, Action.SEE if is_asking else handler.opt["action"]):
            case Permission.GRANTED:
                connection.scope["user"] = caller
            case Permission.REFUSED:
                raise PermissionDeniedException("this token may not do this")
            case Permission.UNKNOWN_CALLER:
                raise NotAuthorizedException(
                    "send the administrator's token: Authorization: Bearer TOKEN",
                    headers={"WWW-Authenticate": _CHALLENGE},
                )
            case never:
                assert_never(never)

    async def _caller(self, authorization: str) -> Caller | None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None
        caller = await self._identities.identify(token.strip())
        if caller is None:
            await self._slow_down()
            raise NotAuthorizedException(
                "this token is not known here",
                headers={"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_token"'},
            )
        return caller

    async def _slow_down(self) -> None:
        if self._slowed >= _MOST_SLOWED:
            wait = str(math.ceil(_SLOWED_SECONDS))
            raise TooManyRequestsException("too many wrong tokens", headers={"Retry-After": wait})
        self._slowed += 1
        try:
            await self._clock.sleep(_SLOWED_SECONDS)
        finally:
            self._slowed -= 1
