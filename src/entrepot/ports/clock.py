"""What time it is."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Clock"]


class Clock(Protocol):
    """Two clocks and a wait, so that tests can turn the hands."""

    def now(self) -> float:
        """Return seconds since the epoch, UTC; may jump when the machine's clock is set."""
        ...

    def monotonic(self) -> float:
        """Return seconds of a clock that only runs forward; its zero means nothing."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait until ``monotonic`` has gone on by no less: who comes back too early is sent away again."""
        ...
