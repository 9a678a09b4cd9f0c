from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.store.machine import Frame, Machine

from entrepot.engine import plan
from entrepot.metadata.sql import SqlMetadata

_MEMORY = Path("/", "dev", "shm")
_ROOM = 32 << 20


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> Iterator[None]:
    """Fetch a small blob in as many pieces as a large one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "BLOCK", 4 << 10)
        yield


@pytest.fixture(scope="session")
def data_folder() -> Iterator[Path]:
    """Where machines have their disks: in memory if there is room, as no machine needs a real disk.

    What it syncs is followed by the platter, and a real one is slow.
    """
    is_memory = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM
    with tempfile.TemporaryDirectory(prefix="entrepot-", dir=_MEMORY if is_memory else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a database in the newest schema."""
    folder = tmp_path_factory.mktemp("template")

    async def make() -> None:
        await SqlMetadata.open(folder / "entrepot.db").close()

    asyncio.run(make())
    return folder


@pytest.fixture
def new_machine(data_folder: Path, template: Path) -> Iterator[Callable[..., Machine]]:
    """Make machines, each with an empty store or what a frame shows; only the last of them is there."""
    folder, machines = data_folder / "machine", list[Machine]()

    def new_machine(frame: Frame | None = None) -> Machine:
        end()
        machines.append(Machine(folder, template, frame))
        return machines[-1]

    def end() -> None:
        while machines:
            machines.pop().close()
            shutil.rmtree(folder)

    yield new_machine
    end()
