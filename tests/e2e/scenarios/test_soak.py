"""A brief soak: the cache is killed and stopped while it is read, and its budget is fetched several times."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from entrepot.testing.programs import run

ROOT = Path(__file__).parents[3]


@pytest.mark.timeout(300)
def test_a_soaked_cache_keeps_its_promises(folder: Path) -> None:
    options = ("--brief", "--out", str(folder), "--work", str(folder))
    command = (sys.executable, "-m", "benchmarks.soak", *options)
    run(*command, environment={"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))}, within=240)
    found = json.loads((folder / "soak.json").read_text())
    assert found["answers"]["right"] > 0
    assert found["kills"] + found["stops"] > 0
    assert (found["wrong"], found["orphans"]) == ([], [])
    assert found["most_bytes_beside_fills"] <= 1.05 * found["budget_bytes"]
