"""The real cache before a scripted upstream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.programs import CacheProgram


@pytest.fixture
def upstream() -> Iterator[FakeRegistry]:
    with FakeRegistry.in_thread() as registry:
        yield registry


@pytest.fixture
def cache(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> CacheProgram:
    """The default settings, which the promises are made for."""
    return launch(CacheProgram(folder / "cache", {"docker.io": upstream.url}))
