"""One process a data folder: the second refuses to start and says which one holds it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from entrepot.testing.programs import CacheProgram
from entrepot.testing.waiting import PATIENCE


def _refused(cache: CacheProgram, data: Path) -> str:
    command = [*cache.arguments, "--data", str(data), "--listen", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    return done.stderr


def test_a_second_process_is_told_who_holds_the_folder(cache: CacheProgram) -> None:
    told = _refused(cache, cache.data)
    assert told == (
        f"entrepot: {cache.data} is in use by process {cache.pid}:"
        " stop that one, or choose another data folder\n"
    )


def test_by_whatever_name_it_reaches_the_folder(cache: CacheProgram) -> None:
    link = cache.data.with_name("link")
    link.symlink_to(cache.data)
    roundabout = link.parent / "link" / ".." / cache.data.name
    for name in (link, roundabout):
        assert f"is in use by process {cache.pid}" in _refused(cache, name)


def test_a_holder_that_was_killed_holds_it_no_longer(cache: CacheProgram) -> None:
    dead = cache.pid
    cache.kill()
    assert (cache.data / "entrepot.lock").read_text().strip() == str(dead)
    cache.start()
    assert f"is in use by process {cache.pid}" in _refused(cache, cache.data)
    assert cache.pid != dead


def test_the_number_of_another_process_in_the_file_holds_nothing(cache: CacheProgram) -> None:
    cache.stop()
    (cache.data / "entrepot.lock").write_text("1\n")
    cache.start()
    assert f"is in use by process {cache.pid}" in _refused(cache, cache.data)


def test_a_start_that_fails_leaves_nothing_behind(cache: CacheProgram) -> None:
    port = cache.url.rpartition(":")[2]
    data = cache.data.with_name("other")
    command = [*cache.arguments, "--data", str(data), "--listen", f"127.0.0.1:{port}"]
    left = []
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 1
        assert "Address already in use" in done.stderr
        left.append(sorted(path.relative_to(data).as_posix() for path in data.rglob("*")))
    assert left[0] == left[1] == left[2]
    assert "entrepot.db-wal" not in left[0]
