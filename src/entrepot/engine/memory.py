"""What the hot path finds without asking the database: bounded, the least used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

__all__ = ["Lru"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """Keeps values up to a total weight; one heavier than that is not kept."""

    def __init__(self, capacity: int, weigh: Callable[[V], int] = lambda _value: 1) -> None:
        self._capacity = capacity
        self._weigh = weigh
        self._values: OrderedDict[K, V] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[K]:
        """Yield the keys, the least used first."""
        return iter(self._values)

    def get(self, key: K) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self.forget(key)
        weight = self._weigh(value)
        if weight > self._capacity:
            return
        self._values[key] = value
        self._weight += weight
        while self._weight > self._capacity:
            _, dropped = self._values.popitem(last=False)
            self._weight -= self._weigh(dropped)

    def forget_all(self, is_meant: Callable[[K], bool]) -> None:
        for key in [key for key in self._values if is_meant(key)]:
            self.forget(key)

    def forget(self, key: K) -> None:
        value = self._values.pop(key, None)
        if value is not None:
            self._weight -= self._weigh(value)
