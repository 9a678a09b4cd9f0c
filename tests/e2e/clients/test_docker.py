"""A real Docker daemon pulls through the cache: ``registry-mirrors`` and unmodified names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.testing.image_layout import BuiltImage, read_archive
from entrepot.testing.programs import CacheProgram, Program, RegistryProgram, run

NAME = "entrepot-demo:1"


class Docker(Program):
    """A daemon that touches nothing of the machine but its own folder."""

    def __init__(self, folder: Path, mirror: str) -> None:
        folder.mkdir()
        self._folder = folder
        self._socket = folder / "docker.sock"
        super().__init__(
            [
                "dockerd",
                *("--host", f"unix://{self._socket}"),
                *("--data-root", f"{folder}/data"),
                *("--exec-root", f"{folder}/exec"),
                *("--pidfile", f"{folder}/pid"),
                *("--storage-driver", "vfs"),
                *("--iptables=false", "--ip6tables=false", "--bridge=none"),
                *("--registry-mirror", mirror),
            ],
            folder / "dockerd.log",
            ready=self._socket.exists,
        )

    def __call__(self, *arguments: str) -> str:
        return run("docker", "--host", f"unix://{self._socket}", *arguments)

    def files(self, name: str) -> dict[str, bytes]:
        saved = self._folder / "saved.tar"
        self("save", "--output", str(saved), name)
        return read_archive(saved)


@pytest.fixture
def docker(
    folder: Path, launch: Callable[[Docker], Docker], need: Callable[..., None], cache: CacheProgram
) -> Docker:
    need("dockerd", "docker", root=True)
    return launch(Docker(folder / "docker", cache.url))


def test_a_docker_daemon_pulls_from_its_mirror_and_again_with_every_upstream_stopped(
    docker: Docker, hub: RegistryProgram, other: RegistryProgram, demo: BuiltImage
) -> None:
    docker("pull", "--platform", "linux/amd64", NAME)
    assert docker.files(NAME) == demo.files["amd64"]
    docker("rmi", NAME)

    hub.stop()
    other.stop()
    assert str(demo.digest) in docker("pull", "--platform", "linux/amd64", NAME)
    assert docker.files(NAME) == demo.files["amd64"]
