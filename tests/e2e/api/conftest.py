"""The real cache before a scripted upstream, and the token that it made."""

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
    return launch(CacheProgram(folder / "cache", {"docker.io": upstream.url}))


@pytest.fixture
def token(cache: CacheProgram) -> str:
    return (cache.data / "admin-token").read_text().strip()
