"""What rules of retention judge content by, and the pins that are set while the cache runs.

As with ``ports.metadata``, a change that returned is visible and survives the death of the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from entrepot.oci.digest import Digest
from entrepot.policy.retention import Holder, Pin

__all__ = ["Content", "Pins", "RetentionIndex", "SetPin"]


class Content(Struct, frozen=True, gc=False):
    """A blob that is stored, or a manifest; times are epoch seconds."""

    digest: Digest
    fetched_at: float
    last_used_at: float


class SetPin(Struct, frozen=True):
    """A pin with the upstream that it is of."""

    upstream: str
    pin: Pin
    created_at: float


class RetentionIndex(Protocol):
    async def unused_since(self, moment: float, after: Content | None, limit: int) -> list[Content]:
        """Page through what was last used at ``moment`` or before, the longest unused first."""
        ...

    async def fetched_before(self, moment: float, after: Content | None, limit: int) -> list[Content]:
        """Page through what was fetched at ``moment`` or before, the oldest first."""
        ...

    async def holders_of(
        self, digests: Sequence[Digest], *, with_tags: bool
    ) -> Mapping[Digest, Sequence[Holder]]:
        """Tell who holds each of these, and which tags lead to it; what nobody holds is left out."""
        ...


class Pins(Protocol):
    """Outlives the database too.  Changes raise ``StoreFailed`` where they cannot be kept."""

    def pins(self) -> list[SetPin]:
        """List all, in the order of their upstreams and texts."""
        ...

    async def set_pin(self, upstream: str, pin: Pin, now: float) -> bool:
        """Keep a pin; tell whether it is new: one that is there already stays as it is."""
        ...

    async def remove_pin(self, upstream: str, pin: Pin) -> bool:
        """Remove a pin; tell whether there was one."""
        ...
