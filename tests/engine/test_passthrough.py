"""What comes past the store, from upstreams that do not send what was asked for alone."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from entrepot.engine.fetch import Source
from entrepot.engine.passthrough import NoSpool, PassThrough
from entrepot.engine.tasks import Tasks
from entrepot.errors import WrongContent
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository
from entrepot.testing.scripted_upstream import ScriptedUpstream
from entrepot.testing.virtual_clock import VirtualClock

CONTENT = random.Random(5).randbytes(400_000)
DIGEST = Digest.of(CONTENT)
DEMO = Repository("docker.io", "library/demo")


@pytest.fixture
def upstream() -> ScriptedUpstream:
    return ScriptedUpstream(blobs={(DEMO.name, DIGEST): CONTENT}, honours_range=False)


@pytest.fixture
async def passed(upstream: ScriptedUpstream) -> AsyncIterator[PassThrough]:
    tasks = Tasks(lambda _name, failure: pytest.fail(f"a task failed: {failure!r}"))
    sources, clock = [Source(upstream, DEMO, DIGEST)], VirtualClock(autojump=True)
    yield PassThrough(sources, NoSpool(), lambda _fetch, _stream: None, tasks, clock)
    await tasks.close()


async def read(passed: PassThrough, start: int, stop: int | None, *, is_checked: bool = False) -> bytes:
    return b"".join([chunk async for chunk in passed.read(start, stop, is_checked=is_checked)])


@pytest.mark.parametrize(("start", "stop"), [(0, None), (100_000, None), (100_000, 300_000), (1, 2)])
async def test_of_a_whole_that_is_sent_for_a_part_the_part_is_passed_on(
    passed: PassThrough, start: int, stop: int | None
) -> None:
    assert await read(passed, start, stop) == CONTENT[start:stop]


async def test_of_a_whole_that_is_sent_again_what_is_not_there_yet_is_passed_on(
    passed: PassThrough, upstream: ScriptedUpstream
) -> None:
    upstream.cuts = [150_000, 300_000]
    assert await read(passed, 0, None, is_checked=True) == CONTENT
    assert len(upstream.downloads) == 3


async def test_who_was_cut_off_is_not_doubted_for_what_another_answer_says(
    passed: PassThrough, upstream: ScriptedUpstream
) -> None:
    upstream.honours_range, upstream.cuts = True, [150_000]
    upstream.refusals = {2: WrongContent("another part than was asked for")}
    assert await read(passed, 0, None) == CONTENT
    assert [start > 0 for start, _ in upstream.downloads] == [False, True, True]
