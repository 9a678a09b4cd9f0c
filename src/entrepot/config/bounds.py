"""How much the cache may hold, as its settings say, on a disk whose size is known when it runs."""

from __future__ import annotations

from entrepot.config.schema import Settings
from entrepot.policy.budget import Bounds, usual_reserve

__all__ = ["bounds_on"]


def bounds_on(total: int, settings: Settings) -> Bounds:
    """Make the bounds that hold on a disk of ``total`` bytes; shares in percent are of what may be held."""
    cache = settings.cache
    max_size = cache.max_size.of(total) if cache.max_size is not None else None
    most = total if max_size is None else max_size
    shares = {name: upstream.retention.max_size for name, upstream in settings.upstreams.items()}
    return Bounds(
        max_size=max_size,
        min_free=cache.min_free.of(total) if cache.min_free is not None else usual_reserve(total),
        high=cache.high_watermark / 100,
        low=cache.low_watermark / 100,
        shares={name: share.of(most) for name, share in shares.items() if share is not None},
    )
