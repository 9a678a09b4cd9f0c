"""What the server gives again by itself: whether it still may, and what is noted of it."""

from __future__ import annotations

from collections.abc import Callable

from entrepot.http.notes import AlikeNotes
from entrepot.ports.clock import Clock
from entrepot.telemetry.trace import trace

__all__ = ["GivenAgain"]


class GivenAgain:
    """``holds`` tells whether the answer may be given once more; that is a use of it, too.

    ``client`` tells who asks by the address of the peer, where that is another.
    """

    __slots__ = ("_client", "_holds", "_now", "_take")

    def __init__(
        self, holds: Callable[[], bool], notes: AlikeNotes, clock: Clock, client: Callable[[str], str] | None
    ) -> None:
        self._holds = holds
        self._take = notes.take
        self._now = clock.monotonic
        self._client = client

    def begin(self) -> float | None:
        """Refuse one that may become a trace of its own, too: it goes the long way, where it is told of."""
        begun = self._now()
        return begun if begun < trace.quiet_until and self._holds() else None

    def given(self, peer: str, begun: float) -> None:
        self._take(peer if self._client is None else self._client(peer), self._now() - begun)
