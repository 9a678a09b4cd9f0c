"""Decides what leaves first when room is needed: the content with the lowest priority.

Priorities are kept with the content and computed anew when it is used, so that choosing
victims is reading an index from its lower end.  What makes them age is ``floor``: the highest
priority that any victim had so far.  It rises as content comes and goes, by about the weight
of content used once while the cache is replaced once; so whatever is no longer used falls
behind, however often it was used.  Only what leaves for want of room moves the floor, not what
expires or is deleted, and the floor must outlive a restart: below it, new content would be
first to leave.

The constants are measured, and docs/adr/0006-evict-by-fading-frequency.md has the figures.
"""

from __future__ import annotations

import math

__all__ = ["priority"]

_PER_DOUBLING = 2.0
# A roll-out to a great fleet tells no more of next month than one to dozens.
_MOST_USES = 64
# A small blob costs little room and, when it is missed, as many round trips as a large one.
_SIZE_EXPONENT = 0.1
_SMALL = 64 << 10


def priority(uses: int, size: int, floor: float) -> float:
    """Return the priority of content of ``size`` bytes when it was just used for the ``uses``-th time.

    ``uses`` counts since the content came; content that nobody used yet has 0, which is worth as
    much as 1.  Unused, content of 64 KiB leaves when the floor has risen by 1 after one use, by 5
    after four, and by 13 at the most.
    """
    frequency = 1.0 + _PER_DOUBLING * math.log2(min(max(uses, 1), _MOST_USES))
    return floor + frequency * math.pow(_SMALL / max(size, _SMALL), _SIZE_EXPONENT)
