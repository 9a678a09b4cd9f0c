"""An answer that is given again without the application: no task, no scope, one write."""

from __future__ import annotations

from msgspec import Struct

from entrepot.http.server.asgi import AtHand
from entrepot.http.server.outlet import Outlet

__all__ = ["HeldAnswer"]


class HeldAnswer(Struct, frozen=True):
    """``head`` is its block of lines, which the server's signature ends."""

    head: bytes
    body: bytes
    at_hand: AtHand

    def give(self, outlet: Outlet, signature: bytes, peer: str) -> bool:
        """Answer now; tell whether that was possible, for if not the application has to be asked."""
        if outlet.paused or (begun := self.at_hand.begin()) is None:
            return False
        outlet.write_now(self.head + signature + self.body)
        self.at_hand.given(peer, begun)
        return True
