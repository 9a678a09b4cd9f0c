"""Who is served where more come than can be: each in turn, after a wait that is bounded."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Guest", "Places"]

_LONG_IDLE = 1.0


class Guest(Protocol):
    """A connection that has a place, or waits for one."""

    def admit(self) -> None:
        """Begin to hear the client, who had to wait until now."""
        ...

    def idle_for(self, now: float) -> float:
        """Return the seconds for which the client could have asked for something, and did not."""
        ...

    def drain(self) -> None: ...


class Places:
    """``count`` of them; whoever comes when all are taken waits, first come, first served."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._seated: set[Guest] = set()
        self.waiting: dict[Guest, None] = {}
        """Those who have none, in their order."""

    def take(self, guest: Guest) -> bool:
        """Tell whether there is a place; a guest for whom there is none will be admitted."""
        if len(self._seated) >= self._count:
            self.waiting[guest] = None
            return False
        self._seated.add(guest)
        return True

    def leave(self, guest: Guest) -> None:
        """Let the next have the guest's place; one who still waits has no turn any more."""
        self.waiting.pop(guest, None)
        self._seated.discard(guest)
        if self.waiting and len(self._seated) < self._count:
            following = next(iter(self.waiting))
            del self.waiting[following]
            self._seated.add(following)
            following.admit()

    def clear_for_others(self, now: float) -> None:
        """Send away as many as wait of those who have long been idle, the longest first.

        A client that keeps a connection for later makes another when it needs it.
        """
        if self.waiting:
            seconds = {guest: guest.idle_for(now) for guest in self._seated}
            idle = (guest for guest in seconds if seconds[guest] >= _LONG_IDLE)
            for guest in sorted(idle, key=seconds.__getitem__, reverse=True)[: len(self.waiting)]:
                guest.drain()
