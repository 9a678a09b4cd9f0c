from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.store.machine import Machine

from entrepot.engine import plan
from entrepot.metadata.sql import SqlMetadata


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch a small blob in as many pieces as a large one."""
    monkeypatch.setattr(plan, "BLOCK", 4 << 10)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a database in the newest schema."""
    folder = tmp_path_factory.mktemp("template")

    async def make() -> None:
        await SqlMetadata.open(folder / "entrepot.db").close()

    asyncio.run(make())
    return folder


@pytest.fixture
def new_machine(tmp_path: Path, template: Path) -> Iterator[Callable[[], Machine]]:
    """Make machines, each with an empty store; only the last of them is running."""
    machines: list[Machine] = []

    def new_machine() -> Machine:
        if machines:
            machines[-1].close()
        machines.append(Machine(tmp_path / str(len(machines)), template))
        return machines[-1]

    yield new_machine
    machines[-1].close()
