"""What the blobs of one upstream may take, and that those of others do not pay for it."""

from __future__ import annotations

import asyncio
import random
import re

from msgspec.structs import replace
from structlog.testing import capture_logs
from tests.engine.conftest import MIB, UNBOUNDED, Depot

from entrepot.oci.digest import Digest
from entrepot.telemetry.metrics import Metrics


def _blob(number: int, size: int = MIB) -> bytes:
    return random.Random(number).randbytes(size)


def _share(depot: Depot, size: int, *, whole: int | None = None) -> None:
    depot.bounds = replace(UNBOUNDED, max_size=whole, shares={"docker.io": size})


async def test_a_fill_beyond_its_share_makes_room_among_its_own(depot: Depot) -> None:
    others = await depot.keep(*map(_blob, range(3)), upstream="ghcr.io")
    own = await depot.keep(*map(_blob, range(10, 13)))
    _share(depot, 3 * MIB)
    with capture_logs() as lines:
        (new,) = await depot.keep(_blob(20))
    assert depot.kept([*own, new]) == [False, True, True, True]
    assert depot.kept(others) == [True] * 3
    assert [line["reason"] for line in lines] == ["share"]


async def test_an_upstream_without_a_share_takes_what_the_whole_has(depot: Depot) -> None:
    _share(depot, MIB)
    others = await depot.keep(*map(_blob, range(4)), upstream="ghcr.io")
    assert depot.kept(others) == [True] * 4


async def test_what_is_used_most_stays_within_a_share(depot: Depot) -> None:
    own = await depot.keep(*map(_blob, range(3)))
    for _ in range(5):
        depot.uses.note(own[0])
    await depot.uses.flush()
    _share(depot, 3 * MIB)
    await depot.keep(_blob(20))
    assert depot.kept(own) == [True, False, True]


async def test_what_is_larger_than_the_share_is_passed_through_and_nothing_goes_for_it(depot: Depot) -> None:
    own = await depot.keep(*map(_blob, range(2)))
    _share(depot, 2 * MIB)
    content = _blob(9, 2 * MIB + 1)
    with capture_logs() as lines:
        assert await depot.read(depot.add(content)) == content
    await depot.settle()
    assert depot.kept([*own, Digest.of(content)]) == [True, True, False]
    assert [line["event"] for line in lines] == ["blob_passed_through"]
    assert await depot.read(depot.add(content, upstream="ghcr.io")) == content
    await depot.settle()
    assert depot.kept([Digest.of(content)]) == [True]


async def test_fills_at_once_are_not_promised_the_same_share(depot: Depot) -> None:
    own = await depot.keep(*map(_blob, range(3)))
    _share(depot, 3 * MIB)
    sources = [depot.add(_blob(number)) for number in range(10, 15)]
    for source in sources:
        await depot.index.confirm_blob(source.repository, source.digest, MIB)
    async with asyncio.TaskGroup() as group:
        for source in sources:
            _ = group.create_task(depot.read(source))
    await depot.settle()
    assert depot.index.charges()["docker.io"] <= 3 * MIB
    assert depot.kept(own) == [False] * 3


async def test_a_share_that_becomes_smaller_is_reached_behind_the_answers(depot: Depot) -> None:
    others = await depot.keep(*map(_blob, range(2)), upstream="ghcr.io")
    own = await depot.keep(*map(_blob, range(10, 14)))
    _share(depot, 2 * MIB)
    await depot.budget.tidy()
    assert depot.kept(own) == [False, False, True, True]
    assert depot.kept(others) == [True, True]


async def test_making_room_in_a_share_does_not_age_what_others_hold(depot: Depot) -> None:
    await depot.keep(*map(_blob, range(10, 12)))
    for digest in await depot.keep(_blob(12)):
        for _ in range(50):
            depot.uses.note(digest)
    (other,) = await depot.keep(_blob(1), upstream="ghcr.io")
    for _ in range(3):
        depot.uses.note(other)
    await depot.uses.flush()
    _share(depot, MIB)
    await depot.budget.tidy()
    _share(depot, 4096)
    await depot.budget.tidy()
    (fresh,) = await depot.keep(_blob(2), upstream="ghcr.io")
    assert [found.digest for found in depot.index.lowest(None, 9)] == [fresh, other]


async def test_where_all_of_a_share_is_protected_content_is_passed_through(depot: Depot) -> None:
    own = await depot.keep(*map(_blob, range(2)))
    pinned = set(own)

    async def protect(_page: object) -> set[Digest]:
        return pinned

    depot.eviction.protect = protect
    _share(depot, 2 * MIB)
    content = _blob(20)
    assert await depot.read(depot.add(content)) == content
    await depot.settle()
    await depot.budget.tidy()
    assert depot.kept([*own, Digest.of(content)]) == [True, True, False]


async def test_what_each_upstream_takes_is_measured(depot: Depot) -> None:
    await depot.keep(*map(_blob, range(2)))
    await depot.keep(_blob(10), upstream="ghcr.io")
    metrics = Metrics()
    depot.budget.observe(metrics)
    told = re.findall(r'upstream_blob_bytes{upstream="(\S+)"} (\S+)', metrics.render().decode())
    assert {name: float(size) for name, size in told} == {"docker.io": 2 * MIB, "ghcr.io": MIB}
