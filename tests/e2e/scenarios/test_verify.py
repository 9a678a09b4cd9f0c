"""What the disk has changed is found, dropped, and fetched again: while the cache runs, and while it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.oci.digest import Digest
from entrepot.storage.layout import blob_path
from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.programs import CacheProgram
from entrepot.testing.waiting import wait_until

LAYERS = [pattern(f"verified {number}", 5 << 20) for number in range(3)]
WRONG, *RIGHT = map(Digest.of, LAYERS)
TAG = "/v2/library/app/manifests/1"


def _blob(digest: Digest) -> str:
    return f"/v2/library/app/blobs/{digest}"


def _pull(cache: CacheProgram) -> None:
    assert ask(cache.url, TAG).status == 200
    for digest in (WRONG, *RIGHT):
        reply = ask(cache.url, _blob(digest))
        assert (reply.whole, reply.digest) == (True, digest)
    cache.wait_for_fills()


def _flip_a_bit(cache: CacheProgram, digest: Digest) -> None:
    with (cache.data / blob_path(digest)).open("r+b") as file:
        file.seek(1 << 20)
        byte = file.read(1)[0]
        file.seek(1 << 20)
        file.write(bytes([byte ^ 4]))


def _verify(cache: CacheProgram, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "entrepot", "verify", "--config", str(cache.config), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_a_flipped_bit_is_found_and_the_next_pull_fetches_that_layer_alone(
    cache: CacheProgram, upstream: FakeRegistry, *, running: bool
) -> None:
    upstream.content.add_image("library/app", "1", layers=LAYERS)
    _pull(cache)
    assert _verify(cache)[0] == 0
    if not running:
        cache.stop()
    _flip_a_bit(cache, WRONG)
    code, output = _verify(cache, "--json")
    assert code == 3
    assert [json.loads(line)["event"] for line in output.splitlines()] == ["dropped", "verified"]
    assert str(WRONG) in output
    if not running:
        cache.start()
    upstream.reset_counts()
    _pull(cache)
    assert upstream.bytes_sent("blob") == len(LAYERS[0])
    assert _verify(cache) == (0, "3 blobs, 1 manifest, 15.7 MB: nothing wrong; 0 failed\n")


def test_the_cache_itself_finds_a_flipped_bit(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> None:
    settings = {"scrub": {"every": "10ms", "rate": "1GiB"}}  # Due at every start.
    cache = launch(CacheProgram(folder / "cache", {"docker.io": upstream.url}, cache=settings))
    upstream.content.add_image("library/app", "1", layers=LAYERS)
    _pull(cache)
    _flip_a_bit(cache, WRONG)
    cache.restart()
    wait_until(
        lambda: "content_scrubbed" in cache.said().partition("blob_damaged")[2], "a round of the scrub"
    )
    upstream.reset_counts()
    _pull(cache)
    assert upstream.bytes_sent("blob") == len(LAYERS[0])
