"""The shapes of ASGI, and the two failures an application meets in ``send``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

__all__ = [
    "ASGIApp",
    "AtHand",
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


class AtHand(Protocol):
    """Lets the server give an answer again by itself, to requests that are alike byte for byte.

    Both are called within one step of the event loop, and must not fail.
    """

    def begin(self) -> float | None:
        """Say when it was asked for, by a clock of its own; ``None`` if the application is to be asked."""
        ...

    def given(self, peer: str, begun: float) -> None:
        """Hear that it was handed to the kernel or the transport, and for which address."""
        ...


class ClientDisconnected(OSError):
    """The client is gone; nothing can be sent to it any more (ASGI HTTP 2.4, "Disconnected Client")."""


class ResponseInvalid(RuntimeError):
    """The application broke a rule of ASGI or of HTTP; its answer cannot go on."""
