"""Whatever happens to the store, and in whatever order: what it serves is right, and nothing leaks."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tests.store.invariants import check
from tests.store.machine import Life, Machine

from entrepot.errors import UpstreamDown, WrongContent
from entrepot.oci.digest import Digest
from entrepot.storage.layout import blob_path
from entrepot.testing.scripted_system import Halted

pytestmark = pytest.mark.timeout(600)

T = TypeVar("T")

CONTENTS = {
    Digest.of(content): content
    for content in (random.Random(size).randbytes(size) for size in (100, 17_000, 30_000, 60_000))
}
REPOSITORIES = ("library/one", "library/other")

_MORE_THAN_ANYBODY_TRIES = 20

digests = st.sampled_from(list(CONTENTS))
repositories = st.sampled_from(REPOSITORIES)
survivals = st.sampled_from([None, 0.0, 0.5, 0.9])
"""How much of what was not synced outlives the end; ``None`` for the end of the process only."""


class StoreLife(RuleBasedStateMachine):
    """The model: which blobs are in the store for good, and of which the upstream has sent wrong bytes."""

    template: Path
    data_folder: Path

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path(tempfile.mkdtemp(dir=self.data_folder))
        self.machine = Machine(self._folder, self.template)
        self.kept: set[Digest] = set()
        self.doubtful: set[Digest] = set()
        self.survival: float | None = None
        self.chance = Random(0)
        self._tell_truth()

    def teardown(self) -> None:
        self.machine.close()
        shutil.rmtree(self._folder)

    # What is asked of it

    @rule(digest=digests, repository=repositories, cut=st.none() | st.integers(0, 60_000))
    def pull(self, digest: Digest, repository: str, cut: int | None) -> None:
        self.machine.upstream.cuts = [] if cut is None else [cut] * _MORE_THAN_ANYBODY_TRIES
        with suppress(UpstreamDown):  # Wrong content among them: of doubtful blobs, and those cut too often.
            content = self._attempt(lambda life: life.read(repository, digest))
            assert content in (None, CONTENTS[digest])
        self.machine.upstream.cuts = []
        self._look()

    @rule(digest=digests, repository=repositories)
    def pull_for_sure(self, digest: Digest, repository: str) -> None:
        """A blob of which there were wrong bytes is right at the second time."""
        try:
            content = self._attempt(lambda life: life.read(repository, digest))
        except WrongContent:
            assert digest in self.doubtful
            content = self._attempt(lambda life: life.read(repository, digest))
        if content is not None:
            assert content == CONTENTS[digest]
            self.doubtful.discard(digest)
        self._look()

    @rule(digest=digests, repository=repositories, cut=st.none() | st.integers(0, 60_000))
    def pull_wrong_bytes(self, digest: Digest, repository: str, cut: int | None) -> None:
        self.doubtful.add(digest)
        self.machine.upstream.blobs[repository, digest] = bytes(reversed(CONTENTS[digest]))
        self.pull(digest, repository, cut)
        self._tell_truth()

    @rule(digest=digests, repository=repositories, places=st.tuples(st.floats(0, 1), st.floats(0, 1)))
    def read_range(self, digest: Digest, repository: str, places: tuple[float, float]) -> None:
        start, stop = sorted(int(place * len(CONTENTS[digest])) for place in places)
        if start == stop:
            return
        try:
            content = self._attempt(lambda life: life.read(repository, digest, start, stop))
        except WrongContent:
            assert digest in self.doubtful
            return
        if content is not None and digest not in self.doubtful:
            assert content == CONTENTS[digest][start:stop]
        self._look()

    @rule(digest=digests)
    def drop(self, digest: Digest) -> None:
        self.kept.discard(digest)
        self._attempt(lambda life: life.drop(digest))

    @rule(room=st.none() | st.integers(0, 120_000))
    def allow(self, room: int | None) -> None:
        """Set the budget, as a reload of the settings does; beside blobs there is the database."""
        self.machine.max_size = None if room is None else (self._attempt(Life.beside) or 0) + room
        self.kept.clear()
        self._attempt(Life.trim)

    @rule(digest=digests, place=st.floats(0, 1, exclude_max=True))
    def rot(self, digest: Digest, place: float) -> None:
        """Have the disk change a byte, which nobody knows before the scrub."""
        path = self.machine.folder / blob_path(digest)
        if path.exists():
            content = bytearray(path.read_bytes())
            content[int(place * len(content))] ^= 0xFF
            path.write_bytes(content)
            self.kept.discard(digest)
            self._attempt(Life.scrub)

    # What happens to it

    @rule()
    def restart(self) -> None:
        try:
            self.machine.restart()
        except Halted:
            self._begin_anew()
        else:
            self._tidy()

    @rule(at=st.integers(1, 30), survival=survivals, seed=st.integers(0, 1 << 32))
    def end_soon(self, at: int, survival: float | None, seed: int) -> None:
        self.survival, self.chance = survival, Random(seed)
        self.machine.halt(at)

    @rule(survival=survivals, seed=st.integers(0, 1 << 32), at=st.none() | st.integers(1, 5))
    def end_now(self, survival: float | None, seed: int, at: int | None) -> None:
        self.end_soon(1, survival, seed)
        self.machine.next_life_ends_at = at
        with suppress(Halted):
            self.machine.system.step("the end")
        self._begin_anew()

    @rule()
    def tidy(self) -> None:
        self._tidy()

    @invariant()
    def no_task_has_crashed(self) -> None:
        assert [crash for crash in self.machine.crashes if not isinstance(crash, Halted)] == []

    def _attempt(self, work: Callable[[Life], Coroutine[Any, Any, T]]) -> T | None:
        """Do something in the process; when it dies meanwhile, start again and see that all is well."""
        try:
            return self.machine.run(work)
        except Halted:
            self._begin_anew()
            return None

    def _begin_anew(self) -> None:
        while True:
            try:
                if self.survival is None:
                    self.machine.revive()
                else:
                    self.machine.power_up(self.chance, self.survival)
                break
            except Halted:
                continue
        self._tidy()

    def _tidy(self) -> None:
        try:
            self.machine.run(Life.tidy)
            self.machine.run(lambda life: check(life, self.machine.folder, self.kept))
        except Halted:
            self._begin_anew()

    def _look(self) -> None:
        self.kept = set(self.machine.run(Life.held)) if self.machine.max_size is None else set()

    def _tell_truth(self) -> None:
        for repository in REPOSITORIES:
            for digest, content in CONTENTS.items():
                self.machine.upstream.blobs[repository, digest] = content


def test_the_store_outlives_whatever_happens_to_it(template: Path, data_folder: Path) -> None:
    StoreLife.template, StoreLife.data_folder = template, data_folder
    bounds = settings(
        max_examples=30,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(StoreLife, settings=bounds)
