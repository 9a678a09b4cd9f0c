from __future__ import annotations

import asyncio

from entrepot.errors import MetadataFailed
from entrepot.jobs.mending import keep_sound
from entrepot.testing.virtual_clock import VirtualClock


class Damaged:
    """Found damaged by a check; renewed once."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def check(self) -> None:
        self.calls.append("check")
        raise MetadataFailed("it is damaged")

    async def renew(self) -> bool:
        self.calls.append("renew")
        return self.calls.count("renew") == 1

    async def rebuild(self) -> None:
        self.calls.append("rebuild")


async def test_damage_is_looked_for_once_and_what_is_renewed_is_rebuilt() -> None:
    database, clock = Damaged(), VirtualClock()
    job = asyncio.create_task(keep_sound(database, database.rebuild, clock))
    for _ in range(3):
        await asyncio.sleep(0)
        clock.advance(5)
    await asyncio.sleep(0)
    job.cancel()
    await asyncio.wait([job])
    assert database.calls[:4] == ["check", "renew", "rebuild", "renew"]
    assert database.calls.count("check") == 1
