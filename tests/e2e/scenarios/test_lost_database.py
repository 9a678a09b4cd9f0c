"""The database lost or damaged: no byte of content is fetched again, and no answer is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.programs import CacheProgram
from entrepot.testing.registry_content import Image
from entrepot.testing.waiting import wait_until

LAYERS = [pattern(f"kept {number}", 1 << 20) for number in range(2)]
IMAGES = 10
Harm = Callable[[Path], None]


def _remove(database: Path) -> None:
    for path in database.parent.glob("entrepot.db*"):
        path.unlink()


def _remove_but_the_log(database: Path) -> None:
    database.unlink()


def _empty(database: Path) -> None:
    database.write_bytes(b"")


def _cut(database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content[: len(content) // 2])


def _overwrite_the_middle(database: Path) -> None:
    content = database.read_bytes()
    third = len(content) // 3
    database.write_bytes(content[:third] + b"\xa5" * third + content[2 * third :])


def _overwrite_all(database: Path) -> None:
    database.write_bytes(b"\xa5" * database.stat().st_size)


def _overwrite_the_log(database: Path) -> None:
    log = database.with_name("entrepot.db-wal")
    log.write_bytes(b"\xa5" * log.stat().st_size)


@pytest.fixture
def cache(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> CacheProgram:
    settings = {"endpoints": [upstream.url], "freshness": {"fresh_for": "1h"}}
    return launch(CacheProgram(folder / "cache", {"docker.io": settings}))


@pytest.fixture
def images(upstream: FakeRegistry) -> list[Image]:
    """Enough images for a database of some size."""
    return [
        upstream.content.add_image("library/app", str(number), layers=LAYERS, config=b"{%d}" % number)
        for number in range(IMAGES)
    ]


def _pull(cache: CacheProgram, images: list[Image]) -> None:
    for number, image in enumerate(images):
        assert ask(cache.url, f"/v2/library/app/manifests/{number}").body == image.content
        for digest in (image.config, *image.layers):
            reply = ask(cache.url, f"/v2/library/app/blobs/{digest}")
            assert (reply.status, reply.whole, reply.digest) == (200, True, digest)
    cache.wait_for_fills()


@pytest.mark.parametrize(
    ("ended", "harm"),
    [
        ("stopped", _remove),
        ("stopped", _empty),
        ("stopped", _cut),
        ("stopped", _overwrite_the_middle),
        ("stopped", _overwrite_all),
        ("killed", _remove_but_the_log),
        ("killed", _cut),
        ("killed", _overwrite_the_middle),
        ("killed", _overwrite_the_log),
    ],
)
def test_a_harmed_database_costs_requests_but_no_content(
    cache: CacheProgram, upstream: FakeRegistry, images: list[Image], harm: Harm, ended: str
) -> None:
    _pull(cache, images)
    blobs = {digest for image in images for digest in (image.config, *image.layers)}
    if ended == "killed":
        cache.kill()
    else:
        cache.stop()
    harm(cache.data / "entrepot.db")
    upstream.reset_counts()
    size = cache.log.stat().st_size
    cache.start()
    _pull(cache, images)
    assert upstream.bytes_sent("blob") == 0
    assert upstream.count("blob", "HEAD") <= len(blobs)
    wait_until(lambda: "blobs_reconciled" in cache.said(size), "rows for the blobs that are there")
    upstream.reset_counts()
    _pull(cache, images)
    assert upstream.requests == []


def test_damage_that_a_start_does_not_see_is_mended_while_it_serves(
    cache: CacheProgram, upstream: FakeRegistry, images: list[Image]
) -> None:
    _pull(cache, images)
    cache.stop()
    database = cache.data / "entrepot.db"
    content = bytearray(database.read_bytes())
    page = content.index(images[7].content) // 4096 * 4096
    content[page : page + 64] = b"\xff" * 64
    database.write_bytes(content)
    cache.start()
    wait_until(lambda: "metadata_damaged" in cache.said(), "the damage is found")
    wait_until(lambda: '"found":12' in cache.said(), "rows for the blobs that are there")
    upstream.reset_counts()
    _pull(cache, images)
    assert upstream.bytes_sent("blob") == 0
    cache.restart()
    upstream.reset_counts()
    _pull(cache, images)
    assert upstream.count("blob") == 0
    assert [path.name for path in cache.data.glob("*.corrupt-*")] == ["entrepot.db.corrupt-1"]
