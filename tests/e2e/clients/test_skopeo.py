"""A real skopeo copies whole multi-platform images through the cache, by prefix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.testing.image_layout import BuiltImage, read_blobs
from entrepot.testing.programs import CacheProgram, RegistryProgram, run
from entrepot.testing.waiting import wait_until

HUB_NAME = "docker.io/library/entrepot-demo:1"
OTHER_NAME = "registry.example.test/team/tool:1"


@pytest.fixture
def copy(
    folder: Path, need: Callable[..., None], cache: CacheProgram
) -> Callable[[str, str], dict[str, bytes]]:
    """Copy an image into a new layout and return all that arrived."""
    need("skopeo")

    def copy(name: str, target: str) -> dict[str, bytes]:
        layout = folder / target
        source = f"docker://127.0.0.1:{cache.port}/{name}"
        run("skopeo", "copy", "--all", "--quiet", "--src-tls-verify=false", source, f"oci:{layout}")
        return read_blobs(layout)

    return copy


def test_skopeo_copies_every_platform_verbatim_and_again_with_the_upstreams_stopped(
    copy: Callable[[str, str], dict[str, bytes]],
    hub: RegistryProgram,
    other: RegistryProgram,
    demo: BuiltImage,
    tool: BuiltImage,
) -> None:
    assert copy(HUB_NAME, "demo-1") == demo.blobs
    assert copy(OTHER_NAME, "tool-1") == tool.blobs
    hub.stop()
    other.stop()
    assert copy(HUB_NAME, "demo-2") == demo.blobs
    assert copy(OTHER_NAME, "tool-2") == tool.blobs


def test_a_second_copy_asks_a_real_registry_for_nothing(
    copy: Callable[[str, str], dict[str, bytes]], hub: RegistryProgram, demo: BuiltImage
) -> None:
    copy(HUB_NAME, "demo-1")
    # It writes what it was asked when it has answered: perhaps a moment after the client has all.
    asked = "GET /v2/library/entrepot-demo/"
    wait_until(lambda: len(hub.requests(asked)) == len(demo.blobs), "a line of each request")
    before = hub.requests("library/entrepot-demo")
    assert copy(HUB_NAME, "demo-2") == demo.blobs
    assert hub.requests("library/entrepot-demo") == before
