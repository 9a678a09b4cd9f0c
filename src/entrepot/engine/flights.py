"""One call per key, however many ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

__all__ = ["Flights"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Flights(Generic[K, V]):
    """Runs at most one call per key and gives every asker that call's outcome.

    The call runs in a task of its own and belongs to no asker: whoever goes away takes
    nothing from the others, and the call ends by itself, within its own deadlines.
    """

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Task[V]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def in_air(self) -> list[tuple[K, asyncio.Task[V]]]:
        return list(self._flights.items())

    def launch(self, key: K, call: Callable[[], Coroutine[Any, Any, V]]) -> asyncio.Task[V]:
        """Return the running flight of ``key``, begun now if there is none."""
        flight = self._flights.get(key)
        if flight is None or flight.done():
            flight = asyncio.get_running_loop().create_task(call(), name=f"flight {key}")
            self._flights[key] = flight
            flight.add_done_callback(lambda task: self._land(key, task))
        return flight

    async def join(self, key: K, call: Callable[[], Coroutine[Any, Any, V]]) -> V:
        return await asyncio.shield(self.launch(key, call))

    async def finish(self) -> None:
        """Wait until nothing is in the air any more."""
        while self._flights:
            await asyncio.wait(list(self._flights.values()))

    async def close(self) -> None:
        """Cancel what is in the air and wait until it is down."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights)

    def _land(self, key: K, flight: asyncio.Task[V]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # Every asker may have left: a failure is then nobody's news.
