"""Pins are kept for good: through power cuts, full disks and files that somebody has damaged."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest
from structlog.testing import capture_logs

from entrepot.errors import DiskFull, StoreFailed
from entrepot.policy.retention import Pin
from entrepot.ports.retention import SetPin
from entrepot.storage.pins import FilePins
from entrepot.testing.platter import Platter
from entrepot.testing.scripted_system import ScriptedSystem

FIRST, SECOND = Pin("library/postgres", "16*"), Pin("platform/*")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "entrepot.pins"


async def test_they_outlive_the_process_and_leave_one_file(path: Path) -> None:
    pins = FilePins(path)
    await pins.set_pin("docker.io", FIRST, 1.0)
    pins.close()
    again = FilePins(path)
    assert again.pins() == [SetPin("docker.io", FIRST, 1.0)]
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    again.close()


async def test_one_that_was_set_or_removed_stays_so_whatever_a_power_cut_takes(path: Path) -> None:
    platter = Platter(path.parent)
    pins = FilePins(path, ScriptedSystem(platter))
    await pins.set_pin("docker.io", FIRST, 1.0)
    await pins.set_pin("docker.io", SECOND, 2.0)
    await pins.remove_pin("docker.io", FIRST)
    pins.close()
    for number, survival in enumerate((0.0, 0.5, 0.5, 0.5, 1.0)):
        left = path.parent.parent / str(number)
        platter.cut_power(left, Random(number), survival)
        again = FilePins(left / path.name)
        assert again.pins() == [SetPin("docker.io", SECOND, 2.0)]
        again.close()


async def test_a_change_that_fails_changes_nothing(path: Path) -> None:
    system = ScriptedSystem()
    pins = FilePins(path, system)
    await pins.set_pin("docker.io", FIRST, 1.0)
    calls = len(system.calls)
    await pins.set_pin("docker.io", SECOND, 1.0)
    await pins.remove_pin("docker.io", SECOND)
    for at in range(1, 5):  # Opened, written, synced, renamed.
        assert calls >= at
        system.fail(errno.ENOSPC, at=at)
        with pytest.raises(DiskFull, match=r"entrepot\.pins"):
            await pins.set_pin("docker.io", SECOND, 2.0)
        assert pins.pins() == FilePins(path).pins() == [SetPin("docker.io", FIRST, 1.0)]
    pins.close()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"{}", b"\xff", b'[{"upstream": "docker.io", "pattern": "a b", "created_at": 1}]'],
    ids=repr,
)
async def test_a_file_that_was_damaged_is_moved_aside_and_said_to_be(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with capture_logs() as lines:
        pins = FilePins(path)
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("pins_damaged", "error")
    assert line["moved_to"] == f"{path}.corrupt-1"
    await pins.set_pin("docker.io", FIRST, 1.0)
    pins.close()
    assert path.with_name("entrepot.pins.corrupt-1").read_bytes() == content


async def test_a_file_that_cannot_be_read_is_not_written_over(path: Path) -> None:
    path.mkdir()
    with capture_logs() as lines:
        pins = FilePins(path)
    assert [line["event"] for line in lines] == ["pins_unreadable"]
    assert pins.pins() == []
    with pytest.raises(StoreFailed, match="cannot use"):
        await pins.set_pin("docker.io", FIRST, 1.0)
    pins.close()
    assert path.is_dir()
