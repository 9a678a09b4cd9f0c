"""How much may be held, and how much of it has to go."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct, field

__all__ = [
    "Bounds",
    "Usage",
    "allowance",
    "excess",
    "is_slow_to_show",
    "share_shortage",
    "shortage",
    "usual_reserve",
]

_RESERVE = 64 << 20
_RESERVED_SHARE = 20


class Bounds(Struct, frozen=True):
    """``max_size``: most bytes that may be held; ``min_free``: bytes that stay free on the disk.

    Past ``high``, a share of what may be held, eviction begins, and goes on down to ``low``.
    ``shares``: most bytes that the blobs of some upstreams may take.
    """

    max_size: int | None
    min_free: int
    high: float
    low: float
    shares: Mapping[str, int] = field(default_factory=dict)


class Usage(Struct, frozen=True):
    """``held`` bytes, of which ``promised`` are still to be written; ``free`` bytes are left on the disk."""

    held: int
    promised: int
    free: int

    @property
    def written(self) -> int:
        return self.held - self.promised


def usual_reserve(total: int) -> int:
    """Return what is left to others of a disk of ``total`` bytes: 64 MiB, or a twentieth of a small one."""
    return min(_RESERVE, total // _RESERVED_SHARE)


def allowance(usage: Usage, bounds: Bounds) -> int:
    """Return how many bytes may be held: what the budget allows, and no more than the disk does."""
    room = max(0, usage.held - usage.promised + usage.free - bounds.min_free)
    return room if bounds.max_size is None else min(room, bounds.max_size)


def shortage(usage: Usage, bounds: Bounds, wanted: int) -> int:
    """Return how many bytes have to go before ``wanted`` more may come."""
    return max(0, usage.held + wanted - allowance(usage, bounds))


def share_shortage(charge: int, share: int | None, wanted: int) -> int:
    """Return how many bytes of an upstream have to go before ``wanted`` more of it may come."""
    return 0 if share is None else max(0, charge + wanted - share)


def excess(usage: Usage, bounds: Bounds, *, is_under_way: bool = False) -> int:
    """Return how many bytes had better go: all above the low mark, once the high one was passed."""
    allowed = allowance(usage, bounds)
    begin = bounds.low if is_under_way else bounds.high
    return math.ceil(usage.held - bounds.low * allowed) if usage.held > begin * allowed else 0


def is_slow_to_show(deleted: int, missing: int) -> bool:
    """Tell whether ``missing`` bytes, neither written nor free, were deleted and do not show as free yet.

    Of fewer than half, the rest will soon show as well; more than all of them, others have written.
    """
    return deleted // 2 < missing <= deleted + deleted // 4
