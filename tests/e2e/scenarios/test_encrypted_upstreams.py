"""An upstream that speaks TLS is worked with as one that does not, over large bodies and cuts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrepot.oci.digest import Digest
from entrepot.testing.certificates import certify, server_context
from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.image_layout import pattern
from entrepot.testing.programs import CacheProgram
from entrepot.testing.registry_wire import Fault

LARGE = pattern("encrypted", 40 << 20)


@pytest.fixture
def upstream(folder: Path) -> Iterator[FakeRegistry]:
    with FakeRegistry.in_thread(tls=server_context(certify(folder, "server"))) as registry:
        yield registry


@pytest.fixture
def cache(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> CacheProgram:
    settings = {"endpoints": [upstream.url], "ca_file": str(folder / "server.pem")}
    return launch(CacheProgram(folder / "cache", {"docker.io": settings}))


def test_a_large_blob_is_whole_though_its_download_is_cut(
    cache: CacheProgram, upstream: FakeRegistry
) -> None:
    upstream.content.add_image("library/app", "1", layers=[LARGE])
    upstream.misbehave("blob", Fault(cut_after=0.3), method="GET", times=1)
    assert ask(cache.url, "/v2/library/app/manifests/1").status == 200
    reply = ask(cache.url, f"/v2/library/app/blobs/{Digest.of(LARGE)}")
    assert (reply.status, reply.whole, reply.digest) == (200, True, Digest.of(LARGE))
    assert upstream.count("blob") == 2


def test_who_shows_a_certificate_of_nobody_is_told_nothing_and_believed_nothing(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], upstream: FakeRegistry
) -> None:
    upstream.content.add_image("library/app", "1", layers=[LARGE])
    cache = launch(CacheProgram(folder / "stranger", {"docker.io": upstream.url}))
    reply = ask(cache.url, "/v2/library/app/manifests/1")
    assert reply.status >= 500
    assert b"ca_file" in reply.body
    assert upstream.count() == 0
