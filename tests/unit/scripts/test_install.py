"""What ``scripts/install`` says where it cannot install; where it can, all other tests run in what it made."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.testing.waiting import PATIENCE

ROOT = Path(__file__).parents[3]
NOBODY = 65534


@pytest.fixture
def sources() -> Iterator[Path]:
    """Copy what is read before anything is installed to where every user may read it, and none may write."""
    folder = Path(tempfile.mkdtemp(prefix="entrepot-"))
    (folder / "scripts").mkdir()
    for name in ("scripts/install", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, folder / name)
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("has_environment", [False, True])
def test_who_may_not_install_is_told_who_may(sources: Path, *, has_environment: bool) -> None:
    place = sources
    if has_environment:
        sources.chmod(0o755)
        place = sources / ".venv"
        place.mkdir(mode=0o555)
        sources.chmod(0o555)
    done = subprocess.run(
        [sources / "scripts" / "install"],
        user=NOBODY if os.geteuid() == 0 else None,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"scripts/install: {place} may not be written by ")
    assert done.stderr.endswith(f"; run scripts/install as {place.owner()} first\n")
