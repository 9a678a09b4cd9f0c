"""Interruptions cost only what is missing: of the connection, of the process, of the disk."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from entrepot.oci.digest import Digest
from entrepot.testing.exchange import Download, ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.programs import CacheProgram, run
from entrepot.testing.registry_wire import Fault
from entrepot.testing.waiting import wait_until

LARGE = pattern("interrupted", 64 << 20)
DIGEST = Digest.of(LARGE)
MIDDLE = 40 << 20
Launch = Callable[[CacheProgram], CacheProgram]


def _blob(upstream: FakeRegistry, content: bytes = LARGE) -> str:
    return f"/v2/library/app/blobs/{upstream.content.add_blob('library/app', content)}"


def test_a_download_cut_at_sixty_percent_goes_on_from_there(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    path = _blob(upstream)
    upstream.misbehave("blob", Fault(cut_after=0.6), method="GET", times=1)
    assert ask(cache.url, path).digest == DIGEST
    assert upstream.count("blob", "GET") == 2
    assert upstream.bytes_sent("blob") <= 1.1 * len(LARGE)


def test_a_cut_download_from_an_upstream_without_range_is_read_again_unnoticed(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    path = _blob(upstream)
    upstream.behaviour.ranges = False
    upstream.misbehave("blob", Fault(cut_after=0.6), method="GET", times=1)
    reply = ask(cache.url, path)
    assert (reply.whole, reply.digest) == (True, DIGEST)
    assert upstream.count("blob", "GET") == 2


def test_a_cache_killed_in_mid_download_fetches_only_what_is_missing(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    path = _blob(upstream)
    upstream.misbehave("blob", Fault(hang_after=MIDDLE), method="GET", times=1)
    with Download(cache.url, path) as download:
        download.read(MIDDLE - (1 << 20))
        cache.kill()
    cache.start()
    assert ask(cache.url, path).digest == DIGEST
    assert upstream.bytes_sent("blob") <= 1.1 * len(LARGE)


def test_a_stopped_cache_ends_cleanly_and_later_fetches_only_what_is_missing(
    folder: Path, launch: Launch, upstream: FakeRegistry
) -> None:
    cache = launch(CacheProgram(folder / "cache", {"docker.io": upstream.url}, drain_timeout="1s"))
    path = _blob(upstream)
    upstream.misbehave("blob", Fault(hang_after=MIDDLE), method="GET", times=1)
    with Download(cache.url, path) as download:
        download.read(MIDDLE - (1 << 20))
        assert cache.stop() == 0
        assert not download.rest().whole
    cache.start()
    assert ask(cache.url, path).digest == DIGEST
    assert upstream.bytes_sent("blob") <= 1.1 * len(LARGE)


def test_a_stopped_cache_lets_running_answers_finish_and_takes_no_new_ones(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    path = _blob(upstream)
    upstream.misbehave("blob", Fault(bytes_per_second=32 << 20), method="GET")
    with Download(cache.url, path) as download, ThreadPoolExecutor(1) as thread:
        start = download.read(1 << 20)
        cache.signal(signal.SIGTERM)
        wait_until(lambda: _is_refused(cache), "an end to new connections")
        rest = thread.submit(download.rest).result()
    assert (rest.whole, Digest.of(start + rest.body)) == (True, DIGEST)
    assert cache.stop() == 0


def test_who_asks_it_to_stop_again_and_again_does_not_cut_off_its_end(cache: CacheProgram) -> None:
    def is_over() -> bool:
        if cache.running:
            cache.signal(signal.SIGTERM)
        return not cache.running

    wait_until(is_over, "the end of the process")
    assert cache.stop() == 0
    assert '"event":"stopped"' in cache.said()


def _is_refused(cache: CacheProgram) -> bool:
    try:
        return ask(cache.url, "/v2/").status == 503
    except ConnectionError:
        return True


@pytest.fixture
def small_disk(folder: Path, need: Callable[..., None]) -> Iterator[Path]:
    need("mount", "umount", root=True)
    place = folder / "small"
    place.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=16m", "entrepot-test", str(place))
    yield place
    run("umount", "--lazy", str(place))


def test_a_full_disk_is_not_noticed_by_the_client(
    folder: Path, small_disk: Path, launch: Launch, upstream: FakeRegistry
) -> None:
    cache = launch(CacheProgram(folder / "cache", {"docker.io": upstream.url}, data=str(small_disk)))
    path = _blob(upstream)
    for _ in range(2):
        reply = ask(cache.url, path)
        assert (reply.status, reply.whole, reply.digest) == (200, True, DIGEST)
    small = pattern("small", 1 << 20)
    assert ask(cache.url, _blob(upstream, small)).digest == Digest.of(small)


def test_a_disk_that_fills_up_in_mid_download_is_not_noticed_by_the_client(
    folder: Path, small_disk: Path, launch: Launch, upstream: FakeRegistry
) -> None:
    cache = launch(CacheProgram(folder / "cache", {"docker.io": upstream.url}, data=str(small_disk)))
    content = pattern("filling", 10 << 20)
    path = _blob(upstream, content)
    hold = asyncio.Event()

    async def let_go() -> None:
        hold.set()

    upstream.misbehave("blob", Fault(hang_after=3 << 20, hold=hold), method="GET", times=1)
    with Download(cache.url, path) as download:
        start = download.read(1 << 20)
        (small_disk / "others").write_bytes(bytes(9 << 20))
        upstream.from_thread(let_go())
        rest = download.rest()
    assert (rest.whole, Digest.of(start + rest.body)) == (True, Digest.of(content))
