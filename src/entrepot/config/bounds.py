"""How much the cache may hold, as its settings say, on a disk whose size is known when it runs."""

from __future__ import annotations

from entrepot.config.schema import CacheSettings
from entrepot.policy.budget import Bounds, usual_reserve

__all__ = ["bounds_on"]


def bounds_on(total: int, settings: CacheSettings) -> Bounds:
    """Make the bounds that hold on a disk of ``total`` bytes."""
    return Bounds(
        max_size=settings.max_size.of(total) if settings.max_size is not None else None,
        min_free=settings.min_free.of(total) if settings.min_free is not None else usual_reserve(total),
        high=settings.high_watermark / 100,
        low=settings.low_watermark / 100,
    )
