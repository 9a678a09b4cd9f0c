"""The stage of the end-to-end tests: programs that end with the test, and who may be absent."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from entrepot.testing.programs import Program

P = TypeVar("P", bound=Program)
Launch = Callable[[P], P]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: the path of a Unix socket has at most 107 characters."""
    path = Path(tempfile.mkdtemp(prefix="entrepot-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def launch(folder: Path) -> Iterator[Launch[Program]]:
    """Start programs; they end with the test, newest first, and a failed test shows their logs."""
    started: list[Program] = []

    def launch(program: P) -> P:
        started.append(program)
        program.start()
        return program

    yield launch
    for program in reversed(started):
        program.stop()
        print(f"--- {program.log}\n{program.tail()}")  # noqa: T201 -- pytest shows it where the test failed


@pytest.fixture
def need() -> Callable[..., None]:
    """Skip where a client is missing; where clients are required, fail."""

    def need(*names: str, root: bool = False) -> None:
        missing = [name for name in names if shutil.which(name) is None]
        if root and os.geteuid() != 0:
            missing.append("the rights of root")
        if not missing:
            return
        reason = f"NOT TESTED, for want of {', '.join(missing)}"
        if os.environ.get("ENTREPOT_REQUIRE_CLIENTS") == "1":
            pytest.fail(reason)
        pytest.skip(reason)

    return need


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder, so that no test can forget it."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)
