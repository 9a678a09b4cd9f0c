"""A real containerd pulls from two registries through the cache: ``_default/hosts.toml`` and ``ns``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.testing.image_layout import BuiltImage
from entrepot.testing.programs import CacheProgram, Program, RegistryProgram, run

HUB_NAME = "docker.io/library/entrepot-demo:1"
OTHER_NAME = "registry.example.test/team/tool:1"


class Containerd(Program):
    def __init__(self, folder: Path, mirror: str) -> None:
        self._socket = folder / "containerd.sock"
        self._hosts = folder / "hosts"
        (self._hosts / "_default").mkdir(parents=True)
        (self._hosts / "_default" / "hosts.toml").write_text(
            f'[host."{mirror}"]\n  capabilities = ["pull", "resolve"]\n'
        )
        config = folder / "config.toml"
        config.write_text(
            f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\n  address = "{self._socket}"\n[ttrpc]\n  address = "{self._socket}.ttrpc"\n'
        )
        super().__init__(
            ["containerd", "--config", str(config)], folder / "containerd.log", ready=self._socket.exists
        )

    def __call__(self, *arguments: str) -> str:
        return run("ctr", "--address", str(self._socket), *arguments)

    def pull(self, name: str) -> None:
        """Pull every platform: the native snapshotter needs no kernel's help."""
        hosts = ("--hosts-dir", str(self._hosts))
        self("images", "pull", "--all-platforms", "--snapshotter", "native", *hosts, name)

    def forget(self, name: str) -> None:
        self("images", "remove", "--sync", name)

    def content(self) -> set[str]:
        """Return the hex of every digest; containerd has verified what it lists."""
        return {digest.removeprefix("sha256:") for digest in self("content", "ls", "--quiet").split()}


@pytest.fixture
def containerd(
    folder: Path, launch: Callable[[Containerd], Containerd], need: Callable[..., None], cache: CacheProgram
) -> Containerd:
    need("containerd", "ctr", root=True)
    return launch(Containerd(folder / "containerd", cache.url))


def test_containerd_pulls_from_two_registries_and_again_with_both_stopped(
    containerd: Containerd, hub: RegistryProgram, other: RegistryProgram, demo: BuiltImage, tool: BuiltImage
) -> None:
    everything = demo.blobs.keys() | tool.blobs.keys()
    for name in (HUB_NAME, OTHER_NAME):
        containerd.pull(name)
    assert containerd.content() == everything
    for name in (HUB_NAME, OTHER_NAME):
        containerd.forget(name)
    assert containerd.content() == set()

    hub.stop()
    other.stop()
    for name in (HUB_NAME, OTHER_NAME):
        containerd.pull(name)
    assert containerd.content() == everything
