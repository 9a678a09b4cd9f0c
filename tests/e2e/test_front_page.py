"""The first command of the front page, as a new user gives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from entrepot.testing.ports import free_port
from entrepot.testing.programs import Program, answers

ROOT = Path(__file__).parents[2]


def test_one_script_starts_a_cache_that_answers_and_ends_when_it_is_told(
    folder: Path, launch: Callable[[Program], Program]
) -> None:
    url = f"127.0.0.1:{free_port()}"
    cache = launch(
        Program(
            [str(ROOT / "scripts" / "serve"), "--listen", url, "--data", str(folder / "data")],
            folder / "serve.log",
            ready=lambda: answers(f"http://{url}/readyz"),
        )
    )
    assert answers(f"http://{url}/v2/")
    assert cache.stop() == 0
