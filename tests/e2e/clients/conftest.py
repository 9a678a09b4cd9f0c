"""Real registries with real images in them, and the cache in front."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.testing.image_layout import BuiltImage, build_image
from entrepot.testing.programs import CacheProgram, RegistryProgram, run

Launch = Callable[[RegistryProgram], RegistryProgram]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    return build_image(tmp_path_factory.mktemp("images") / "demo", "demo")


@pytest.fixture(scope="session")
def tool(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    return build_image(tmp_path_factory.mktemp("images") / "tool", "tool", layer_count=4)


@pytest.fixture
def hub(folder: Path, launch: Launch, need: Callable[..., None], demo: BuiltImage) -> RegistryProgram:
    """The registry behind docker.io; it holds ``library/entrepot-demo:1``, which the real one does not."""
    return _registry(folder / "hub", launch, need, {"library/entrepot-demo:1": demo})


@pytest.fixture
def other(folder: Path, launch: Launch, need: Callable[..., None], tool: BuiltImage) -> RegistryProgram:
    """The registry behind registry.example.test; it holds ``team/tool:1``."""
    return _registry(folder / "other", launch, need, {"team/tool:1": tool})


def _registry(
    folder: Path, launch: Launch, need: Callable[..., None], images: dict[str, BuiltImage]
) -> RegistryProgram:
    need("docker-registry", "skopeo")
    registry = launch(RegistryProgram(folder))
    for name, image in images.items():
        target = f"docker://127.0.0.1:{registry.port}/{name}"
        run("skopeo", "copy", "--all", "--quiet", "--dest-tls-verify=false", f"oci:{image.layout}", target)
    return registry


@pytest.fixture
def cache(
    folder: Path, launch: Callable[[CacheProgram], CacheProgram], hub: RegistryProgram, other: RegistryProgram
) -> CacheProgram:
    """The cache in front of both registries."""
    return launch(CacheProgram(folder / "cache", {"docker.io": hub.url, "registry.example.test": other.url}))
