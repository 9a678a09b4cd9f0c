"""One running cache before a scripted upstream, and the commands that are called on it, in this process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from entrepot.cli.main import main
from entrepot.testing.exchange import ask
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.programs import CacheProgram
from entrepot.testing.registry_content import Image
from entrepot.testing.registry_routes import Behaviour
from entrepot.testing.waiting import wait_until

__all__ = ["AMD", "ARM", "Desk"]

AMD, ARM = "linux/amd64", "linux/arm64"
QUAY = {"endpoints": ["http://127.0.0.1:9"], "username": "me", "password": "hidden"}


@dataclass
class Desk:
    """Where an operator sits; tests share it, and each has repositories of its own."""

    cache: CacheProgram
    registry: FakeRegistry

    def run(self, *arguments: str, given: str | None = None, **environ: str) -> Result:
        environ = {"ENTREPOT_CONFIG": str(self.cache.config), **environ}
        return CliRunner(env=environ).invoke(main, arguments, input=given, prog_name="entrepot")

    def lines(self, *arguments: str) -> list[str]:
        """Return what a command prints, which must succeed and complain of nothing."""
        result = self.run(*arguments)
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return result.stdout.splitlines()

    def rows(self, *arguments: str) -> list[Any]:
        """Return what a command prints for scripts."""
        return [json.loads(line) for line in self.lines(*arguments, "--json")]

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start the real program; it hears Ctrl-C even where the tests run in the background of a shell."""
        environ = {**os.environ, "ENTREPOT_CONFIG": str(self.cache.config), "TERM": "xterm-256color"}
        command = ["env", "--default-signal=INT", sys.executable, "-m", "entrepot", *arguments]
        return subprocess.Popen(command, env=environ, **options)

    def pull(self, path: str) -> int:
        return ask(self.cache.url, f"/v2/{path}").status

    def pulled(self, repository: str, tag: str = "1", *, layers: tuple[bytes, ...] = (b"layer",)) -> Image:
        """Publish an image and pull all of it."""
        image = self.registry.content.add_image(repository, tag, layers=layers, config=repository.encode())
        paths = [f"manifests/{tag}", *(f"blobs/{digest}" for digest in (image.config, *image.layers))]
        assert {self.pull(f"{repository}/{path}") for path in paths} == {200}
        wait_until(lambda: not self.rows("fills"), "the fills' end")
        return image


@pytest.fixture(scope="package")
def desk() -> Iterator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="entrepot-"))
    with (
        FakeRegistry.in_thread(behaviour=Behaviour(referrers_api=True)) as registry,
        CacheProgram(folder, {"docker.io": registry.url, "quay.test": QUAY}) as cache,
    ):
        yield Desk(cache, registry)
    shutil.rmtree(folder)


@pytest.fixture
def background() -> Iterator[Callable[[subprocess.Popen[bytes]], subprocess.Popen[bytes]]]:
    """End what a test has started."""
    started: list[subprocess.Popen[bytes]] = []

    def background(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        started.append(process)
        return process

    yield background
    for process in started:
        process.kill()
        process.wait(10)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
