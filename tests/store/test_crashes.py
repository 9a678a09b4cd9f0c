"""A little life of the store, in which every change of the disk is once the last before the end."""

from __future__ import annotations

import errno
import random
import shutil
from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.store.invariants import check
from tests.store.machine import Frame, Life, Machine

from entrepot.errors import WrongContent
from entrepot.oci.digest import Digest
from entrepot.testing.scripted_system import Halted

pytestmark = pytest.mark.timeout(600)

FIRST, SHARED, THIRD = (random.Random(number).randbytes(20_000 + 7 * number) for number in range(3))
ONE, OTHER = "library/one", "library/other"


class Story:
    """What happens, and what is known to be kept for good."""

    def __init__(self, machine: Machine, kept: AbstractSet[Digest] = frozenset()) -> None:
        self.machine = machine
        self.kept = set(kept)
        for repository in (ONE, OTHER):
            for content in (FIRST, SHARED, THIRD):
                machine.upstream.blobs[repository, Digest.of(content)] = content

    async def of_pulls(self, life: Life) -> None:
        await self._pull(life, ONE, FIRST)
        await self._read_piece(life, SHARED, 9_000)
        await self._pull(life, ONE, SHARED)
        await self._pull(life, OTHER, SHARED)
        await life.uses.flush()
        self.kept.discard(Digest.of(FIRST))
        await life.drop(Digest.of(FIRST))
        self.machine.upstream.blobs[ONE, Digest.of(THIRD)] = bytes(reversed(THIRD))
        with suppress(WrongContent):
            await self._pull(life, ONE, THIRD)
        await self._pull(life, OTHER, THIRD)
        await self._pull(life, OTHER, FIRST)

    async def of_pieces(self, life: Life) -> None:
        """Spools are resumed again and again, and never whole; the bytes are taken where they come."""
        self.machine.upstream.diverts = True
        for start in (9_000, 0, 13_000, 8_000):
            for content in (FIRST, SHARED):
                await self._read_piece(life, content, start)

    async def of_little_room(self, life: Life) -> None:
        """Whatever comes, something else has to go, so that nothing is kept for sure."""
        self.machine.max_size = None
        for content in (FIRST, SHARED):
            assert await life.read(ONE, Digest.of(content)) == content
        await life.tidy()
        self.machine.max_size = life.ledger.usage(free=0).held + 4_096
        for content in (THIRD, FIRST, SHARED):
            assert await life.read(ONE, Digest.of(content)) == content
        self.machine.max_size -= 20_000
        await life.tidy()

    async def check(self, life: Life) -> None:
        await check(life, self.machine.folder, self.kept)

    async def _read_piece(self, life: Life, content: bytes, start: int) -> None:
        stop = start + 1_000
        assert await life.read(ONE, Digest.of(content), start, stop) == content[start:stop]

    async def _pull(self, life: Life, repository: str, content: bytes) -> None:
        assert await life.read(repository, Digest.of(content)) == content
        self.kept.add(Digest.of(content))


def process_dies(machine: Machine, _chance: Random) -> None:
    machine.revive()


def unsynced_is_lost(machine: Machine, chance: Random) -> None:
    machine.power_up(chance, survival=0.0)


def unsynced_is_torn(machine: Machine, chance: Random) -> None:
    machine.power_up(chance, survival=0.5)


ENDS = [process_dies, unsynced_is_lost, unsynced_is_torn]
STORIES = [Story.of_pulls, Story.of_pieces, Story.of_little_room]

every_end = pytest.mark.parametrize("end", ENDS)
every_story = pytest.mark.parametrize("tell", STORIES)
End = Callable[[Machine, Random], None]
Tell = Callable[[Story, Life], Coroutine[Any, Any, None]]
NewMachine = Callable[..., Machine]
Film = list[tuple[Frame, frozenset[Digest]]]
"""A story told once: what is on the disk before each change of it, and what is kept by then."""


@pytest.fixture(scope="module")
def film(template: Path, data_folder: Path) -> Callable[[Tell], Film]:
    """Tell each story once, whatever ends it: a frame is the same for all of them."""
    films: dict[Tell, Film] = {}

    def film(tell: Tell) -> Film:
        if tell not in films:
            films[tell] = _filmed(tell, Machine(data_folder / "film", template))
            shutil.rmtree(data_folder / "film")
        return films[tell]

    return film


def _filmed(tell: Tell, machine: Machine) -> Film:
    story = Story(machine)
    frames = machine.film(lambda life: tell(story, life), lambda: frozenset(story.kept))
    machine.close()
    return frames


def live(story: Story, tell: Tell) -> bool:
    """Tell the story; return whether it came to its own end."""
    try:
        story.machine.run(lambda life: tell(story, life))
    except Halted:
        return False
    story.machine.system.behave()
    return True


@every_story
@every_end
def test_the_store_outlives_its_end_at_every_change_of_the_disk(
    new_machine: NewMachine, film: Callable[[Tell], Film], end: End, tell: Tell
) -> None:
    frames = film(tell)
    assert len(frames) > 20
    for step, (frame, kept) in enumerate(frames, start=1):
        story = Story(new_machine(frame), kept)
        end(story.machine, Random(step))
        if step % 2:  # Clients come before anything is put in order.
            assert live(story, tell)
        story.machine.run(Life.tidy)
        story.machine.run(story.check)


@every_story
def test_a_life_that_comes_to_its_own_end_leaves_all_in_order(new_machine: NewMachine, tell: Tell) -> None:
    story = Story(new_machine())
    for _ in range(2):
        assert live(story, tell)
        story.machine.run(Life.tidy)
        story.machine.run(story.check)
        story.machine.restart()


@every_end
def test_the_store_outlives_its_end_while_it_puts_in_order_what_another_left(
    new_machine: NewMachine, film: Callable[[Tell], Film], end: End
) -> None:
    for step, (frame, kept) in list(enumerate(film(Story.of_pulls), start=1))[:100:8]:
        story, chance = Story(new_machine(frame), kept), Random(step)
        while True:
            story.machine.next_life_ends_at = chance.randrange(1, 40)
            try:
                end(story.machine, chance)
                story.machine.run(Life.tidy)
                break
            except Halted:
                continue
        story.machine.system.behave()
        story.machine.run(story.check)
        assert live(story, Story.of_pulls)


def test_what_is_stored_after_the_death_of_the_process_outlives_a_power_cut(
    new_machine: NewMachine, film: Callable[[Tell], Film]
) -> None:
    for step, (frame, kept) in enumerate(film(Story.of_pulls)[:29], start=1):
        story = Story(new_machine(frame), kept)
        story.machine.revive()
        found = story.machine.run(Life.held)
        assert live(story, Story.of_pulls)
        story.kept -= found.keys()  # What the dead did not sync may still go.
        story.machine.halt(at=1)
        with suppress(Halted):
            story.machine.system.step("the power cut")
        unsynced_is_lost(story.machine, Random(step))
        story.machine.run(Life.tidy)
        story.machine.run(story.check)


@pytest.mark.parametrize("times", [1, None], ids=["once", "from then on"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_a_disk_that_fails_at_any_change_is_not_noticed_by_readers(
    new_machine: NewMachine, number: int, times: int | None
) -> None:
    for step in range(1, 100, 7):
        story = Story(new_machine())
        story.machine.system.fail(number, at=step, times=times)
        story.machine.system.most_bytes = 5_000
        assert live(story, Story.of_pulls)
        story.machine.restart()
        story.kept.clear()
        story.machine.run(Life.tidy)
        story.machine.run(story.check)
        assert live(story, Story.of_pulls)
        story.machine.run(story.check)
