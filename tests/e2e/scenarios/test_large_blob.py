"""One blob of 40 GiB: nothing but the disk knows how large it is, and no offset is too far out."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrepot.oci.digest import Digest
from entrepot.storage.layout import blob_path, spool_path
from entrepot.storage.seal import seal_of
from entrepot.testing.exchange import Download, ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.programs import CacheProgram, run
from entrepot.testing.registry_wire import Fault
from entrepot.testing.waiting import wait_until

MIB = 1 << 20
SIZE = 40 << 30
MARK = pattern("mark", 3 * MIB)
# Around where numbers of 31 and of 32 bits end, and at the end of all.
PLACES = (0, (1 << 31) - MIB, (1 << 32) - MIB, SIZE - len(MARK))
DIGEST = Digest.of(b"some forty gibibytes")
BLOB = f"/v2/library/app/blobs/{DIGEST}"


@pytest.fixture
def large_disk(folder: Path, need: Callable[..., None]) -> Iterator[Path]:
    """A disk with room for it: what is sparse takes none."""
    need("mount", root=True)
    place = folder / "large"
    place.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=100g", "entrepot-test", str(place))
    yield place
    run("umount", "--lazy", str(place))


def _write_sparse(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(SIZE)
        for place in PLACES:
            os.pwrite(file.fileno(), MARK, place)


@pytest.fixture
def cache(
    folder: Path, large_disk: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> CacheProgram:
    original = large_disk / "original"
    _write_sparse(original)
    with original.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    upstream.content.add_blob("library/app", content, DIGEST)
    data = str(large_disk / "data")
    return launch(CacheProgram(folder / "cache", {"docker.io": upstream.url}, data=data))


def _taken(path: Path) -> int:
    """Return how many bytes a file takes on the disk, none if it is not there."""
    return path.stat().st_blocks * 512 if path.exists() else 0


def _read(cache: CacheProgram, place: int) -> bytes:
    reply = ask(cache.url, BLOB, headers={"Range": f"bytes={place}-{place + len(MARK) - 1}"})
    assert (reply.status, reply.whole) == (206, True)
    assert reply.headers["content-range"] == f"bytes {place}-{place + len(MARK) - 1}/{SIZE}"
    return reply.body


def _memory(cache: CacheProgram) -> int:
    """Return the most bytes that the process ever had in memory of its own."""
    status = Path(f"/proc/{cache.pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


def test_a_range_of_a_cold_one_costs_that_range_wherever_it_is(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    before = _memory(cache)
    for place in PLACES:
        assert Digest.of(_read(cache, place)) == Digest.of(MARK)
    assert upstream.bytes_sent("blob") <= len(PLACES) * (len(MARK) + 2 * MIB)
    assert _memory(cache) - before < 64 * MIB
    part = cache.data / spool_path(DIGEST)
    assert part.stat().st_size == SIZE
    assert _taken(part) <= upstream.bytes_sent("blob") + MIB


def test_what_is_there_of_it_outlives_the_process(cache: CacheProgram, upstream: FakeRegistry) -> None:
    for place in PLACES:
        _read(cache, place)
    cache.kill()
    cache.start()
    upstream.reset_counts()
    for place in PLACES:
        assert Digest.of(_read(cache, place)) == Digest.of(MARK)
    assert upstream.bytes_sent("blob") <= MIB


def test_reading_it_takes_no_more_memory_the_further_one_gets(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    upstream.misbehave("blob", Fault(hang_after=400 * MIB), method="GET")
    with Download(cache.url, BLOB) as download:
        assert download.headers["content-length"] == str(SIZE)
        for _ in range(100):
            download.read(MIB)
        before = _memory(cache)
        for _ in range(250):
            download.read(MIB)
        assert _memory(cache) - before < 16 * MIB


def test_a_held_one_is_served_wherever_it_is_read(cache: CacheProgram, upstream: FakeRegistry) -> None:
    held = cache.data / blob_path(DIGEST)
    _write_sparse(held)
    os.utime(held, ns=(0, seal_of(DIGEST)))  # Else all of it is read first.
    for place in PLACES:
        assert Digest.of(_read(cache, place)) == Digest.of(MARK)
    reply = ask(cache.url, BLOB, headers={"Range": f"bytes=-{MIB}"})
    assert Digest.of(reply.body) == Digest.of(MARK[-MIB:])
    assert ask(cache.url, BLOB, method="HEAD").headers["content-length"] == str(SIZE)
    assert upstream.bytes_sent("blob") == 0


@pytest.mark.parametrize(("budget", "is_kept"), [("50GiB", False), ("39GiB", True)])
def test_room_is_made_for_all_of_it_before_it_grows_or_not_at_all(
    cache: CacheProgram, upstream: FakeRegistry, budget: str, *, is_kept: bool
) -> None:
    cache.stop()
    old = cache.data / blob_path(Digest.of(b"twenty others"))
    old.parent.mkdir(parents=True)
    old.touch()
    os.truncate(old, SIZE // 2)
    cache.settings["cache"] = {"max_size": budget}
    cache.configure({"docker.io": upstream.url})
    cache.start()
    wait_until(lambda: '"found":1' in cache.said(), "the old blob to be found")
    upstream.misbehave("blob", Fault(hang_after=32 * MIB), method="GET")
    with Download(cache.url, BLOB) as download:
        assert Digest.of(download.read(len(MARK))) == Digest.of(MARK)
        assert old.exists() == is_kept
        assert (_taken(cache.data / spool_path(DIGEST)) == 0) == is_kept
