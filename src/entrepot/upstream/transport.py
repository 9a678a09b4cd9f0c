"""The seam to the HTTP library, one method wide."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from entrepot.errors import UpstreamDown, UpstreamTimeout
from entrepot.ports.upstream import Inflow

__all__ = ["Ask", "ConnectTimeout", "Response", "Transport", "Unreached"]


class Unreached(UpstreamDown):
    """Nobody was there to ask: no name, no route, no sign of the host."""


class ConnectTimeout(Unreached, UpstreamTimeout):
    """Nothing came back from where the host should be."""


class Ask(Struct, frozen=True):
    """One HTTP request; ``url`` goes out exactly as it is written, ``form`` makes it a POST's body."""

    method: str
    url: str
    headers: Mapping[str, str]
    form: Mapping[str, str] | None = None


class Response(Protocol):
    """An answer whose head has come.  Names of ``headers`` are in lower case, repeated ones joined."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, never decoded, in pieces that are not empty.

        Raises ``UpstreamTimeout`` after a silence of the read timeout, and ``UpstreamDown`` when the
        connection breaks or the body ends before its length is reached.
        """
        ...

    def divert(self, length: int) -> Inflow | None:
        """Hand over what has not come yet of a body of ``length`` bytes.

        Returns ``None`` where that is not possible, or not worth the connection, which it costs.
        ``chunks`` yields no more than what is here already, then.
        """
        ...


class Transport(Protocol):
    def request(self, ask: Ask) -> AbstractAsyncContextManager[Response]:
        """Ask, and wait for the head.  Redirects are answers like others; so is every status.

        Leaving the context before the body has ended closes the connection.  Raises ``UpstreamTimeout``
        and ``UpstreamDown``, whatever goes wrong.
        """
        ...

    async def close(self) -> None: ...
