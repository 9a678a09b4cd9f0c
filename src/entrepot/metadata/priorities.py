"""The order in which content goes: its priorities, and the floor that rises with each eviction."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, select, update

from entrepot.metadata import schema
from entrepot.policy.eviction import priority
from entrepot.ports.metadata import Use

__all__ = ["CONTENT", "count_uses", "first_priority", "raise_floor"]

CONTENT = (schema.blobs, schema.manifests)

# How long a use may take to be told: content that is still coming is told of when all of it is here.
_SECONDS_TO_BE_TOLD = 86400.0

_FLOOR = select(schema.totals.c.floor)
_RAISE_FLOOR = (
    update(schema.totals)
    .where(schema.totals.c.floor < bindparam("reached"))
    .values(floor=bindparam("reached"))
)
_USED = tuple(
    select(table.c.digest, table.c.size, table.c.uses, table.c.last_used_at).where(
        table.c.digest.in_(bindparam("digests", expanding=True))
    )
    for table in CONTENT
)
_COUNT = tuple(
    update(table)
    .where(table.c.digest == bindparam("used"))
    .values(uses=bindparam("count"), last_used_at=bindparam("at"), priority=bindparam("place"))
    for table in CONTENT
)


def first_priority(connection: Connection, size: int) -> float:
    """Return the priority of content that is new here, and so in use."""
    return priority(1, size, _floor(connection))


def raise_floor(connection: Connection, reached: float) -> None:
    connection.execute(_RAISE_FLOOR, {"reached": reached})


def count_uses(connection: Connection, uses: Iterable[Use]) -> None:
    """Add uses to what is known, and give it its priority anew; each digest is there once."""
    floor, by_digest = _floor(connection), {str(use.digest): use for use in uses}
    for find, count in zip(_USED, _COUNT, strict=True):
        rows = []
        for digest, size, before, last_used_at in connection.execute(find, {"digests": list(by_digest)}):
            use = by_digest[digest]
            total = before + use.count
            rows.append(
                {
                    "used": digest,
                    "count": total,
                    "at": _newest(last_used_at, use.last_used_at),
                    "place": priority(max(1, total), size, floor),
                }
            )
        if rows:
            connection.execute(count, rows)


def _newest(known: float, told: float) -> float:
    """Return when content was last used; a time far beyond what is told is of a clock that was set back."""
    return told if known > told + _SECONDS_TO_BE_TOLD else max(known, told)


def _floor(connection: Connection) -> float:
    floor: float = connection.execute(_FLOOR).scalar_one()
    return floor
