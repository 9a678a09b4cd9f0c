"""What upstreams refused a moment ago, so that they are not asked again at once."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Hashable

from msgspec import Struct

from entrepot.errors import EntrepotError, NotHere

__all__ = ["Refusals"]

_MOST = 20_000


class _Refusal(Struct, frozen=True):
    failure: EntrepotError
    refused_at: float
    believed_until: float


class Refusals:
    """The oldest go first, when they are not believed any more or too many; times are epoch seconds.

    A failure is kept and given as a copy: each time one is raised it keeps what was on the stack.
    """

    def __init__(self) -> None:
        self._refusals: OrderedDict[Hashable, _Refusal] = OrderedDict()

    def __len__(self) -> int:
        return len(self._refusals)

    def note(self, key: Hashable, failure: EntrepotError, now: float, believed_for: float) -> None:
        self._refusals.pop(key, None)
        while self._refusals and (len(self._refusals) >= _MOST or not _is_believed(self._oldest(), now)):
            self._refusals.popitem(last=False)
        self._refusals[key] = _Refusal(copy.copy(failure), now, now + believed_for)

    def refused_at(self, key: Hashable) -> float | None:
        refusal = self._refusals.get(key)
        return refusal.refused_at if refusal is not None else None

    def is_gone(self, key: Hashable) -> bool:
        """Tell whether the upstream said that there is no such thing, and not that it may not be had."""
        refusal = self._refusals.get(key)
        return refusal is not None and isinstance(refusal.failure, NotHere)

    def failure(self, key: Hashable) -> EntrepotError:
        """Return what the upstream raised; ``key`` must be one that ``refused_at`` knows."""
        failure = copy.copy(self._refusals[key].failure)
        failure.is_remembered = True
        return failure

    def _oldest(self) -> _Refusal:
        return next(iter(self._refusals.values()))


def _is_believed(refusal: _Refusal, now: float) -> bool:
    return refusal.refused_at <= now < refusal.believed_until
