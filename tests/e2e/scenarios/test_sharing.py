"""One download serves all who ask, and nobody is held back by anybody else."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from entrepot.oci.digest import Digest
from entrepot.testing.exchange import Download, ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.programs import CacheProgram
from entrepot.testing.registry_wire import Fault
from entrepot.testing.waiting import wait_until

LAYER = pattern("sharing", 4 << 20)
DIGEST = Digest.of(LAYER)
BLOB = f"/v2/library/app/blobs/{DIGEST}"
FILES = 96
LET_IN = 18
"""How many clients are served at once where so many files may be open."""


def test_fifty_clients_of_a_cold_blob_cost_one_download(cache: CacheProgram, upstream: FakeRegistry) -> None:
    upstream.content.add_image("library/app", "1", layers=[LAYER])
    with ThreadPoolExecutor(50) as clients:
        replies = list(clients.map(lambda _: ask(cache.url, BLOB), range(50)))
    assert all(reply.whole and reply.digest == DIGEST for reply in replies)
    assert upstream.bytes_sent("blob") == len(LAYER)


def test_who_is_let_in_gets_all_of_it_however_few_files_may_be_open(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> None:
    large = pattern("large", 24 << 20)  # More than the buffers of a loopback connection hold.
    path = f"/v2/library/app/blobs/{upstream.content.add_blob('library/app', large)}"
    cache = CacheProgram(folder / "cache", {"docker.io": upstream.url})
    cache.arguments[:0] = ["prlimit", f"--nofile={FILES}"]
    launch(cache)
    assert ask(cache.url, path).whole
    with ThreadPoolExecutor(10) as beyond, ExitStack() as leaving:
        clients = [leaving.enter_context(Download(cache.url, path)) for _ in range(LET_IN)]
        waiting = [beyond.submit(ask, cache.url, path) for _ in range(10)]
        replies = [client.rest() for client in clients]
        leaving.close()
        others = [reply.result() for reply in waiting]
    assert {reply.status for reply in replies} == {200}
    assert {reply.status for reply in others} <= {200, 503}
    assert all(reply.whole for reply in [*replies, *others])
    assert {reply.digest for reply in [*replies, *others] if reply.status == 200} == {Digest.of(large)}


def test_the_first_client_leaves_and_the_others_notice_nothing(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    upstream.content.add_image("library/app", "1", layers=[LAYER])
    upstream.misbehave("blob", Fault(bytes_per_second=4 << 20), method="GET")
    first = Download(cache.url, BLOB)
    first.read(100_000)
    with ThreadPoolExecutor(2) as clients:
        others = [clients.submit(ask, cache.url, BLOB) for _ in range(2)]
        first.close()
        assert all(other.result().digest == DIGEST for other in others)
    assert upstream.bytes_sent("blob") == len(LAYER)


def test_a_download_that_everyone_left_is_finished_for_the_next_one(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    upstream.content.add_image("library/app", "1", layers=[LAYER])
    upstream.misbehave("blob", Fault(bytes_per_second=8 << 20), method="GET")
    with Download(cache.url, BLOB) as only:
        only.read(100_000)
    wait_until(lambda: upstream.bytes_sent("blob") == len(LAYER), "the rest of the download")
    assert ask(cache.url, BLOB).digest == DIGEST
    assert upstream.bytes_sent("blob") == len(LAYER)


def test_a_client_that_stops_reading_holds_nobody_back(cache: CacheProgram, upstream: FakeRegistry) -> None:
    large = pattern("large", 48 << 20)  # More than the buffers of a loopback connection hold.
    path = f"/v2/library/app/blobs/{upstream.content.add_blob('library/app', large)}"
    with Download(cache.url, path) as slow:
        start = slow.read(100_000)
        fast = ask(cache.url, path)
        assert (fast.whole, fast.digest) == (True, Digest.of(large))
        assert Digest.of(start + slow.rest().body) == Digest.of(large)
    assert upstream.bytes_sent("blob") == len(large)


def test_a_layer_of_a_second_repository_is_not_fetched_again(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    for repository in ("library/app", "library/other"):
        upstream.content.add_image(repository, "1", layers=[LAYER])
    for repository in ("library/app", "library/other"):
        assert ask(cache.url, f"/v2/{repository}/manifests/1").status == 200
        assert ask(cache.url, f"/v2/{repository}/blobs/{DIGEST}").digest == DIGEST
    assert upstream.bytes_sent("blob") == len(LAYER)


def test_a_blob_is_not_served_under_a_repository_that_does_not_hold_it(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    upstream.content.add_image("library/app", "1", layers=[LAYER])
    upstream.content.add_image("library/other", "1", layers=[b"something else"])
    assert ask(cache.url, BLOB).digest == DIGEST
    stolen = ask(cache.url, BLOB.replace("library/app", "library/other"))
    assert stolen.status == 404
    assert b"BLOB_UNKNOWN" in stolen.body


def test_eight_parallel_ranges_of_a_cold_blob_cost_it_once(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    large = pattern("ranges", 64 << 20)
    path = f"/v2/library/app/blobs/{upstream.content.add_blob('library/app', large)}"
    part = len(large) // 8

    def fetch(number: int) -> bytes:
        reply = ask(cache.url, path, headers={"Range": f"bytes={number * part}-{(number + 1) * part - 1}"})
        assert (reply.status, reply.whole) == (206, True)
        return reply.body

    with ThreadPoolExecutor(8) as clients:
        assert Digest.of(b"".join(clients.map(fetch, range(8)))) == Digest.of(large)
    assert upstream.bytes_sent("blob") <= 1.01 * len(large)


def test_the_end_of_a_cold_gibibyte_comes_without_the_rest(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    size, tail = 1 << 30, b"the very end of it"
    content = mmap.mmap(-1, size)  # Pages of zeroes that nobody touches take no memory.
    content[-len(tail) :] = tail
    digest = upstream.content.add_blob("library/app", content, Digest("sha256", "ab" * 32))
    reply = ask(
        cache.url,
        f"/v2/library/app/blobs/{digest}",
        headers={"Range": f"bytes={size - len(tail)}-"},
    )
    assert (reply.status, reply.body) == (206, tail)
    assert reply.headers["content-range"] == f"bytes {size - len(tail)}-{size - 1}/{size}"
    assert upstream.bytes_sent("blob") < 64 << 20
