from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from entrepot.storage.system import make_folder, sync_folder, write_all
from entrepot.testing.platter import Platter
from entrepot.testing.scripted_system import ScriptedSystem


class Bench:
    """A folder that is written to, and what power cuts may leave of it."""

    def __init__(self, folder: Path) -> None:
        self._cuts = folder / "cuts"
        self._cuts.mkdir()
        self.root = folder / "root"
        self.root.mkdir()
        (self.root / "old").write_bytes(b"old")
        self._platter = Platter(self.root)
        self.system = ScriptedSystem(self._platter)

    def write(self, name: str, content: bytes, *, sync: bool = False) -> None:
        fd = self.system.open(self.root / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        write_all(self.system, fd, content, 0)
        if sync:
            self.system.fsync(fd)
        os.close(fd)

    def sync(self) -> None:
        sync_folder(self.system, self.root)

    def after(self, survival: float, seed: int = 0) -> dict[str, bytes]:
        """Cut the power and tell what is left, by name."""
        target = self._cuts / str(len(list(self._cuts.iterdir())))
        self._platter.cut_power(target, Random(seed), survival)
        return {
            str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()
        }

    def possible(self, name: str) -> set[bytes | None]:
        return {self.after(0.5, seed).get(name) for seed in range(100)}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_was_there_at_first_stays(bench: Bench) -> None:
    assert bench.after(0.0) == {"old": b"old"}


def test_a_new_file_needs_its_folder_synced(bench: Bench) -> None:
    bench.write("new", b"new", sync=True)
    assert bench.possible("new") == {None, b"new"}
    bench.sync()
    assert bench.possible("new") == {b"new"}


def test_a_name_without_its_bytes_is_possible(bench: Bench) -> None:
    bench.write("new", b"new")
    bench.sync()
    assert bench.possible("new") == {b"", b"n", b"ne", b"new"}


def test_what_survives_wholly_is_what_is_there(bench: Bench) -> None:
    bench.write("new", b"new")
    bench.write("old", b"newer")
    bench.system.replace(bench.root / "new", bench.root / "moved")
    make_folder(bench.system, bench.root / "a" / "b")
    bench.write("a/b/deep", b"deep")
    there = {
        str(path.relative_to(bench.root)): path.read_bytes()
        for path in bench.root.rglob("*")
        if path.is_file()
    }
    assert bench.after(1.0) == there


@pytest.mark.parametrize(("target", "in_both"), [("moved", False), ("folder/moved", True)])
def test_a_file_that_is_renamed_may_have_either_name_or_none_or_be_in_two_folders(
    bench: Bench, target: str, *, in_both: bool
) -> None:
    make_folder(bench.system, bench.root / "folder")
    bench.write("new", b"new", sync=True)
    bench.sync()
    bench.system.replace(bench.root / "new", bench.root / target)
    found = {tuple(sorted(bench.after(0.5, seed).keys() - {"old"})) for seed in range(100)}
    assert found == {("new",), (target,), ()} | ({(target, "new")} if in_both else set())


def test_a_name_does_not_go_back_beyond_its_last_sync(bench: Bench) -> None:
    bench.write("new", b"new", sync=True)
    bench.sync()
    bench.system.unlink(bench.root / "new")
    assert bench.possible("new") == {None, b"new"}
    bench.sync()
    bench.write("new", b"again", sync=True)
    assert bench.possible("new") == {None, b"again"}


def test_a_later_write_may_be_there_without_an_earlier_one(bench: Bench) -> None:
    fd = bench.system.open(bench.root / "old", os.O_WRONLY)
    bench.system.pwrite(fd, b"a", 3)
    bench.system.pwrite(fd, b"b", 5)
    bench.system.ftruncate(fd, 10)
    assert {b"old", b"olda", b"old\0\0b", b"olda\0b", b"old" + bytes(7)} <= bench.possible("old")
    bench.system.fdatasync(fd)
    os.close(fd)
    assert bench.possible("old") == {b"olda\0b\0\0\0\0"}


def test_what_lies_in_a_lost_folder_is_lost(bench: Bench) -> None:
    bench.system.mkdir(bench.root / "folder")
    bench.write("folder/file", b"deep", sync=True)
    sync_folder(bench.system, bench.root / "folder")
    assert bench.after(0.0) == {"old": b"old"}


def test_allocated_room_is_zeroes(bench: Bench) -> None:
    fd = bench.system.open(bench.root / "ballast", os.O_WRONLY | os.O_CREAT)
    bench.system.posix_fallocate(fd, 0, 4)
    os.close(fd)
    assert bench.after(1.0)["ballast"] == bytes(4)
