"""A data folder that can only be read: what is in it is served, all else passed through."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from entrepot.oci.digest import Digest
from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.programs import CacheProgram, run
from entrepot.testing.waiting import PATIENCE, wait_until

HELD, OTHER = pattern("held", 3 << 20), pattern("other", 3 << 20)


@pytest.fixture(autouse=True)
def _root(need: Callable[..., None]) -> None:
    """Permissions do not bind root, but how a file system is mounted does."""
    need("mount", root=True)


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    run("mount", "--bind", str(folder), str(folder))
    run("mount", "-o", "remount,bind,ro", str(folder))
    try:
        yield
    finally:
        run("umount", "--lazy", str(folder))


def _pull(cache: CacheProgram, name: str, layer: bytes) -> None:
    assert ask(cache.url, f"/v2/library/{name}/manifests/1").status == 200
    reply = ask(cache.url, f"/v2/library/{name}/blobs/{Digest.of(layer)}")
    assert (reply.status, reply.whole, reply.digest) == (200, True, Digest.of(layer))


def _ready(cache: CacheProgram) -> dict[str, str]:
    ready: dict[str, str] = json.loads(ask(cache.url, "/readyz").body)
    return ready


@pytest.fixture
def filled(cache: CacheProgram, upstream: FakeRegistry) -> CacheProgram:
    """A cache that holds one of the upstream's two images."""
    upstream.content.add_image("library/held", "1", layers=[HELD])
    upstream.content.add_image("library/other", "1", layers=[OTHER])
    _pull(cache, "held", HELD)
    cache.wait_for_fills()
    upstream.reset_counts()
    return cache


@pytest.mark.parametrize("ended", ["stopped", "killed"])
def test_it_serves_what_it_has_and_passes_through_the_rest(
    filled: CacheProgram, upstream: FakeRegistry, ended: str
) -> None:
    if ended == "killed":
        filled.kill()
    else:
        filled.stop()
    with _read_only(filled.data):
        filled.start()
        wait_until(lambda: "data_folder_read_only" in filled.said(), "a warning in the log")
        assert "read-only" in _ready(filled)["warning"]
        _pull(filled, "held", HELD)
        assert upstream.bytes_sent("blob") == 0
        for _ in range(2):
            _pull(filled, "other", OTHER)
        assert upstream.bytes_sent("blob") == 2 * len(OTHER)
        assert filled.stop() == 0
    filled.start()
    assert _ready(filled) == {"status": "ready"}
    upstream.reset_counts()
    for _ in range(2):
        _pull(filled, "held", HELD)
        _pull(filled, "other", OTHER)
    assert upstream.bytes_sent("blob") == len(OTHER)


def test_it_goes_on_when_the_folder_becomes_read_only_and_when_it_no_longer_is(
    filled: CacheProgram, upstream: FakeRegistry
) -> None:
    with _read_only(filled.data):
        assert "read-only" in _ready(filled)["warning"]
        _pull(filled, "held", HELD)
        for _ in range(2):
            _pull(filled, "other", OTHER)
        assert upstream.bytes_sent("blob") == 2 * len(OTHER)
    assert _ready(filled) == {"status": "ready"}
    upstream.reset_counts()
    for _ in range(2):
        _pull(filled, "other", OTHER)
    assert upstream.bytes_sent("blob") == len(OTHER)


def test_an_empty_one_is_refused_with_what_to_do(filled: CacheProgram) -> None:
    filled.stop()
    empty = filled.data.with_name("empty")
    empty.mkdir()
    with _read_only(empty):
        command = [*filled.arguments, "--data", str(empty)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert f"data: {empty} may not be written, and holds no cache to serve: make it writable" in done.stderr


def test_content_can_be_verified_there_and_what_is_wrong_is_told(filled: CacheProgram) -> None:
    filled.stop()
    (blob,) = [path for path in filled.data.rglob("*") if path.name == Digest.of(HELD).hex]
    blob.write_bytes(HELD[:-1] + b"?")
    verify = [word if word != "serve" else "verify" for word in filled.arguments]
    with _read_only(filled.data):
        done = subprocess.run(verify, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"failed: blob {Digest.of(HELD)}" in done.stdout
    assert "Read-only file system" in done.stdout


def test_it_is_held_by_one_process_all_the_same(filled: CacheProgram) -> None:
    with _read_only(filled.data):
        done = subprocess.run(filled.arguments, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert f"is in use by process {filled.pid}: stop that one" in done.stderr
