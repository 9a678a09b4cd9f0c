"""The shapes of ASGI, and the two failures an application meets in ``send``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = [
    "ASGIApp",
    "ClientDisconnected",
    "Headers",
    "Message",
    "Receive",
    "ResponseInvalid",
    "Scope",
    "Send",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class ClientDisconnected(OSError):
    """The client is gone; nothing can be sent to it any more (ASGI HTTP 2.4, "Disconnected Client")."""


class ResponseInvalid(RuntimeError):
    """The application broke a rule of ASGI or of HTTP; its answer cannot go on."""
