"""Looks up names in threads of its own, so that those whose servers are silent hold up nobody else.

The event loop's look-ups share a few threads with one another and, on uvloop, with every new connection:
two names that nobody answers for would keep the whole cache from dialling anyone.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Thread
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

__all__ = ["Resolver"]

_AT_ONCE = 16
_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

_Found = Sequence[tuple[int, int, int, str, Any]]


class Resolver(AbstractResolver):
    """Of one upstream, which can thus wait for its own names alone."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host; raise ``OSError`` where it has none."""
        async with self._places:
            found = await asyncio.wrap_future(_look_up(host, port, family))
        return list(_results(host, found))

    async def close(self) -> None:
        """Leave look-ups that run to themselves."""


def _look_up(host: str, port: int, family: int) -> Future[_Found]:
    """Begin a look-up, in a thread whose end nobody has to wait for, as an executor's threads would ask."""
    future: Future[_Found] = Future()
    future.set_running_or_notify_cancel()
    look_up = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)

    def run() -> None:
        try:
            found = look_up()
        except (OSError, ValueError) as failure:  # The second: what cannot be a name.
            future.set_exception(failure)
        else:
            future.set_result(found)

    try:
        Thread(target=run, name=f"look up {host}", daemon=True).start()
    except RuntimeError as failure:
        raise OSError(f"no thread to look up {host} in: {failure}") from failure
    return future


def _results(host: str, found: _Found) -> Iterator[ResolveResult]:
    for family, _, protocol, _, address in found:
        # Which of its networks an IPv6 address is in, where it says so, is told by its name in full.
        name, port = address[0], address[1]
        if family == socket.AF_INET6 and address[3]:
            name, _ = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
        yield ResolveResult(
            hostname=host, host=name, port=port, family=family, proto=protocol, flags=_NUMERIC
        )
