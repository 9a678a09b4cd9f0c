"""The disk stays below its budget while the cache serves, measured from outside as ``du`` does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest

from entrepot.oci.digest import Digest
from entrepot.testing.exchange import Download, ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.programs import CacheProgram, run
from entrepot.testing.registry_wire import Fault
from entrepot.testing.waiting import wait_until

MIB = 1 << 20
BUDGET = 64 * MIB
Launch = Callable[[CacheProgram], CacheProgram]
Start = Callable[..., CacheProgram]


def du(folder: Path) -> int:
    """Add up what all files and folders take, while they come and go: the quicker, the less the sum is mixed."""
    paths = [str(folder)]
    for place, folders, files in os.walk(folder):
        paths += [f"{place}/{name}" for name in (*folders, *files)]
    total = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            total += os.lstat(path).st_blocks * 512
    return total


class Watch:
    """Measures a folder again and again, from another thread."""

    def __init__(self, folder: Path) -> None:
        self.peak = 0
        self._folder = folder
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._end.wait(0.02):
            with contextlib.suppress(FileNotFoundError):
                self.peak = max(self.peak, du(self._folder))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


@pytest.fixture
def start(folder: Path, launch: Launch, upstream: FakeRegistry) -> Start:
    def start(data: Path | None = None, **settings: Any) -> CacheProgram:
        place = {} if data is None else {"data": str(data)}
        return launch(CacheProgram(folder / "cache", {"docker.io": upstream.url}, cache=settings, **place))

    return start


def _set(cache: CacheProgram, upstream: FakeRegistry, **settings: Any) -> None:
    cache.settings["cache"] = settings
    cache.configure({"docker.io": upstream.url})
    cache.reload()


def _path(upstream: FakeRegistry, content: bytes) -> str:
    return f"/v2/library/app/blobs/{upstream.content.add_blob('library/app', content)}"


def _pull(cache: CacheProgram, path: str) -> None:
    reply = ask(cache.url, path)
    assert (reply.status, reply.whole) == (200, True)
    assert str(reply.digest) in path


def test_a_churn_of_eight_times_the_budget_stays_below_it_and_every_answer_is_whole(
    start: Start, upstream: FakeRegistry
) -> None:
    cache = start(max_size="64MiB")
    paths = [_path(upstream, pattern(f"churn {number}", 4 * MIB)) for number in range(128)]
    with Watch(cache.data) as watch, ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(_pull, cache, path) for path in paths]:
            done.result()
    assert BUDGET / 2 < watch.peak <= 1.05 * BUDGET


def test_a_burst_of_large_and_tiny_blobs_of_two_upstreams_with_shares_stays_below_it(
    folder: Path, launch: Launch, upstream: FakeRegistry
) -> None:
    share = {"endpoints": [upstream.url], "retention": {"max_size": "60%"}}
    upstreams = {"docker.io": share, "ghcr.io": share}
    cache = launch(CacheProgram(folder / "cache", upstreams, cache={"max_size": "64MiB"}))
    pulls = [
        f"/v2/{name}/library/app/blobs/{upstream.content.add_blob('library/app', content)}"
        for number in range(120)
        for name in upstreams
        for content in [pattern(f"{name} {number}", 5 * MIB if number % 10 == 0 else 2000)]
    ]
    with Watch(cache.data) as watch, ThreadPoolExecutor(6) as threads:
        for done in [threads.submit(_pull, cache, path) for path in pulls]:
            done.result()
    assert BUDGET / 2 < watch.peak <= 1.05 * BUDGET
    held = cache.values("entrepot_upstream_blob_bytes")
    assert len(held) == len(upstreams)
    assert max(held) <= 0.6 * BUDGET


def test_a_cold_pull_makes_room_before_it_grows(start: Start, upstream: FakeRegistry) -> None:
    cache = start(max_size="64MiB", high_watermark="100%", low_watermark="100%")
    for number in range(12):
        _pull(cache, _path(upstream, pattern(f"old {number}", 5 * MIB)))
    before = du(cache.data)
    large = _path(upstream, pattern("large", 40 * MIB))
    hold = asyncio.Event()

    async def let_go() -> None:
        hold.set()

    upstream.misbehave("blob", Fault(hang_after=MIB, hold=hold), method="GET", times=1)
    with Download(cache.url, large) as download:
        download.read(MIB // 2)
        assert before - du(cache.data) > 30 * MIB
    upstream.from_thread(let_go())
    _pull(cache, large)
    assert du(cache.data) <= BUDGET


def test_what_is_larger_than_the_budget_is_passed_through_and_nothing_goes_for_it(
    start: Start, upstream: FakeRegistry
) -> None:
    cache = start(max_size="64MiB")
    kept = [_path(upstream, pattern(f"kept {number}", 8 * MIB)) for number in range(3)]
    for path in kept:
        _pull(cache, path)
    with Watch(cache.data) as watch:
        _pull(cache, _path(upstream, pattern("too large", 80 * MIB)))
    assert watch.peak < 30 * MIB
    upstream.reset_counts()
    for path in kept:
        _pull(cache, path)
    assert upstream.count("blob", "GET") == 0
    wait_until(lambda: "blob_passed_through" in cache.said(), "a line of the log")


def test_a_budget_that_is_lowered_is_reached_while_the_cache_serves(
    start: Start, upstream: FakeRegistry
) -> None:
    cache = start(max_size="64MiB")
    paths = [_path(upstream, pattern(f"full {number}", 2 * MIB)) for number in range(25)]
    for path in paths:
        _pull(cache, path)
    assert du(cache.data) > 50 * MIB
    _set(cache, upstream, max_size="16MiB")
    wait_until(lambda: du(cache.data) <= 16 * MIB, "the lower budget")
    for path in paths:
        _pull(cache, path)
    assert '"max_size": "16MiB"' in cache.config.read_text()
    assert cache.said().count("changed_at_restart") <= 1


def test_what_is_pulled_often_stays_through_a_sweep(start: Start, upstream: FakeRegistry) -> None:
    cache = start(max_size="64MiB")
    hot = [_path(upstream, pattern(f"hot {number}", 2 * MIB)) for number in range(8)]
    for _ in range(10):
        for path in hot:
            _pull(cache, path)
    for number in range(20):
        _pull(cache, _path(upstream, pattern(f"sweep {number}", 6 * MIB)))
    upstream.reset_counts()
    for path in hot:
        _pull(cache, path)
    assert upstream.count("blob", "GET") == 0


def test_thousands_of_tiny_blobs_count_with_the_blocks_they_take(
    start: Start, upstream: FakeRegistry
) -> None:
    cache = start(max_size="8MiB")
    paths = [_path(upstream, pattern(f"tiny {number}", 100)) for number in range(2500)]
    with Watch(cache.data) as watch, ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(_pull, cache, path) for path in paths]:
            done.result()
    assert watch.peak <= 1.05 * 8 * MIB


def test_manifests_are_content_too_and_the_database_gives_their_room_back(
    start: Start, upstream: FakeRegistry
) -> None:
    cache = start(max_size="16MiB")
    for number in range(150):
        padding = pattern(f"manifest {number}", 100_000).hex()
        document = f'{{"schemaVersion": 2, "annotations": {{"padding": "{padding}"}}}}'
        digest = upstream.content.add_manifest(f"library/app-{number}", document.encode(), tag="1")
        assert ask(cache.url, f"/v2/library/app-{number}/manifests/1").digest == digest
    wait_until(lambda: du(cache.data) <= 1.05 * 16 * MIB, "manifests evicted")


def test_a_blob_that_is_evicted_while_it_is_read_comes_whole(start: Start, upstream: FakeRegistry) -> None:
    cache = start(max_size="64MiB")
    content = pattern("read slowly", 24 * MIB)
    path = _path(upstream, content)
    _pull(cache, path)
    # Who reads while it is still being stored has a part in the fill, which does not go.
    cache.wait_for_fills()
    with Download(cache.url, path) as download:
        first = download.read(MIB)
        file = cache.data / "blobs" / "sha256" / Digest.of(content).hex[:2] / Digest.of(content).hex
        for number in count():
            if not file.exists():
                break
            _pull(cache, _path(upstream, pattern(f"pushing {number}", 8 * MIB)))
        rest = download.rest()
    assert rest.whole
    assert Digest.of(first + rest.body) == Digest.of(content)


@pytest.fixture
def small_disk(folder: Path, need: Callable[..., None]) -> Iterator[Path]:
    need("mount", "umount", root=True)
    place = folder / "small"
    place.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=32m", "entrepot-test", str(place))
    yield place
    run("umount", "--lazy", str(place))


def test_a_small_disk_keeps_free_what_it_should(
    small_disk: Path, start: Start, upstream: FakeRegistry
) -> None:
    cache = start(small_disk, min_free="8MiB")
    with Watch(small_disk) as watch:
        for number in range(30):
            _pull(cache, _path(upstream, pattern(f"small {number}", 2 * MIB)))
    assert 16 * MIB < watch.peak <= 24 * MIB
    (small_disk / "others").write_bytes(bytes(6 * MIB))
    wait_until(lambda: du(small_disk) <= 24 * MIB, "room made for others")
    assert "blob_passed_through" not in cache.said()


def test_all_that_bounds_it_changes_with_a_reload(
    small_disk: Path, start: Start, upstream: FakeRegistry
) -> None:
    cache = start(small_disk, max_size="75%")
    for number in range(16):
        _pull(cache, _path(upstream, pattern(f"bounded {number}", 2 * MIB)))
    assert 16 * MIB < du(small_disk) <= 24 * MIB
    _set(cache, upstream, max_size="50%")
    wait_until(lambda: du(small_disk) <= 16 * MIB, "half of the disk")
    _set(cache, upstream, min_free="20MiB")
    wait_until(lambda: du(small_disk) <= 12 * MIB, "more to be free")
    _set(cache, upstream, max_size="14MiB", high_watermark="70%", low_watermark="60%")
    wait_until(lambda: du(small_disk) <= 9 * MIB, "lower marks")


def test_a_cache_killed_while_it_evicts_goes_on_where_it_was(start: Start, upstream: FakeRegistry) -> None:
    cache = start(max_size="24MiB")
    chance = random.Random(3)
    numbers = count()
    for _ in range(4):
        with ThreadPoolExecutor(3) as threads:
            for _ in range(3):
                threads.submit(_pull_until_killed, cache, upstream, numbers)
            threading.Event().wait(1 + chance.random())
            cache.kill()
        cache.start()
        assert du(cache.data) <= 1.05 * 24 * MIB + 3 * 2 * MIB
    _pull(cache, _path(upstream, pattern("after all", 2 * MIB)))
    wait_until(lambda: _rows(cache.data) == _files(cache.data), "rows for all files, and no others")


def _pull_until_killed(cache: CacheProgram, upstream: FakeRegistry, numbers: Iterator[int]) -> None:
    with contextlib.suppress(ConnectionError, AssertionError):
        while True:
            _pull(cache, _path(upstream, pattern(f"killed {next(numbers)}", 2 * MIB)))


def _rows(data: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(f"file:{data}/entrepot.db?mode=ro", uri=True)) as database:
        return {digest.partition(":")[2] for (digest,) in database.execute("SELECT digest FROM blobs")}


def _files(data: Path) -> set[str]:
    return {path.name for path in (data / "blobs").rglob("*") if path.is_file()}
