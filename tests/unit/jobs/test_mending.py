from __future__ import annotations

from entrepot.errors import MetadataFailed
from entrepot.jobs.mending import Mending
from entrepot.ports.jobs import Report


class Damaged:
    """Found damaged by a check; renewed once."""

    def __init__(self, *, can_be_renewed: bool = True) -> None:
        self.calls: list[str] = []
        self.can_be_renewed = can_be_renewed

    async def check(self) -> None:
        self.calls.append("check")
        raise MetadataFailed("it is damaged")

    async def renew(self) -> bool:
        self.calls.append("renew")
        return self.can_be_renewed and self.calls.count("renew") == 1

    async def rebuild(self) -> None:
        self.calls.append("rebuild")


async def test_damage_is_looked_for_once_and_what_is_renewed_is_rebuilt() -> None:
    database = Damaged()
    mending = Mending(database, database.rebuild)
    assert await mending.look() == Report({"renewed": 1})
    assert await mending.look() is None
    assert database.calls == ["check", "renew", "rebuild", "renew"]


async def test_all_of_it_is_read_again_whenever_that_is_asked_for() -> None:
    database = Damaged(can_be_renewed=False)
    mending = Mending(database, database.rebuild)
    for _ in range(2):
        assert await mending.run() == Report(failure="it is damaged")
    assert database.calls.count("check") == 2
