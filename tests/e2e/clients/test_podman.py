"""A real Podman pulls through the cache: by prefix, and unmodified names by a mirror in registries.conf."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.testing.image_layout import BuiltImage, read_archive
from entrepot.testing.programs import CacheProgram, RegistryProgram, run

HUB_NAME = "docker.io/library/entrepot-demo:1"
OTHER_NAME = "registry.example.test/team/tool:1"

REGISTRIES = """
unqualified-search-registries = []

[[registry]]
location = "{cache}"
insecure = true

[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "{cache}/docker.io"
insecure = true

[[registry]]
location = "registry.example.test"
[[registry.mirror]]
location = "{cache}/registry.example.test"
insecure = true
"""


class Podman:
    """Podman with its storage in a folder of its own: a new folder is a host that pulled nothing."""

    def __init__(self, folder: Path, cache: str) -> None:
        folder.mkdir()
        self._folder = folder
        self._registries = folder / "registries.conf"
        self._registries.write_text(REGISTRIES.format(cache=cache))

    def __call__(self, *arguments: str) -> str:
        return run(
            "podman",
            *("--root", f"{self._folder}/root"),
            *("--runroot", f"{self._folder}/run"),
            *("--tmpdir", f"{self._folder}/temporary"),
            *("--storage-driver", "vfs"),
            *arguments,
            environment={"CONTAINERS_REGISTRIES_CONF": str(self._registries)},
        )

    def pull(self, name: str) -> dict[str, bytes]:
        """Pull, and return the files of the image."""
        self("pull", "--quiet", "--platform", "linux/arm64", name)
        saved = self._folder / "saved.tar"
        saved.unlink(missing_ok=True)
        self("save", "--quiet", "--output", str(saved), name)
        return read_archive(saved)


@pytest.fixture
def podman(folder: Path, need: Callable[..., None], cache: CacheProgram) -> Callable[[str], Podman]:
    """Make hosts with nothing pulled."""
    need("podman", root=True)
    return lambda name: Podman(folder / name, f"127.0.0.1:{cache.port}")


def test_podman_pulls_by_prefix_and_again_with_the_upstreams_stopped(
    podman: Callable[[str], Podman],
    cache: CacheProgram,
    hub: RegistryProgram,
    other: RegistryProgram,
    demo: BuiltImage,
) -> None:
    name = f"127.0.0.1:{cache.port}/{HUB_NAME}"
    assert podman("first").pull(name) == demo.files["arm64"]
    hub.stop()
    other.stop()
    assert podman("second").pull(name) == demo.files["arm64"]


def test_podman_pulls_unmodified_names_by_its_mirrors_and_again_with_the_upstreams_stopped(
    podman: Callable[[str], Podman],
    hub: RegistryProgram,
    other: RegistryProgram,
    demo: BuiltImage,
    tool: BuiltImage,
) -> None:
    first = podman("first")
    assert first.pull(HUB_NAME) == demo.files["arm64"]
    assert first.pull(OTHER_NAME) == tool.files["arm64"]
    hub.stop()
    other.stop()
    second = podman("second")
    assert second.pull(HUB_NAME) == demo.files["arm64"]
    assert second.pull(OTHER_NAME) == tool.files["arm64"]
