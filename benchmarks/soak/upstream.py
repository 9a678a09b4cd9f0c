"""The registry behind the soaked cache: a process of its own, which breaks a connection now and then."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path
from random import Random

from benchmarks.soak.catalogue import Catalogue

from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_wire import Fault

_SECONDS_BETWEEN_COUNTS = 0.2
_COUNTS_BETWEEN_CUTS = 5


async def _serve(options: argparse.Namespace) -> None:
    catalogue = Catalogue(options.seed, options.total, options.largest)
    registry = FakeRegistry(port=options.port)
    for image in catalogue.images:
        for layer in image.layers:
            registry.content.add_blob(image.repository, catalogue.content(layer), layer.digest)
        registry.content.add_manifest(image.repository, image.manifest, tag="latest")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with registry:
        await _misbehave(registry, options.counts, Random(options.seed), stop)


async def _misbehave(registry: FakeRegistry, counts: Path, chance: Random, stop: asyncio.Event) -> None:
    """Cut one download in a second at any place, and write down what was sent."""
    turn = requests = 0
    while not stop.is_set():
        requests += len(registry.requests)
        registry.requests.clear()
        _write(counts, {"requests": requests, "bytes": registry.bytes_sent("blob")})
        turn += 1
        if turn % _COUNTS_BETWEEN_CUTS == 0:
            registry.behave()
            registry.misbehave("blob", Fault(cut_after=chance.random()), method="GET", times=1)
        try:
            async with asyncio.timeout(_SECONDS_BETWEEN_COUNTS):
                await stop.wait()
        except TimeoutError:
            continue


def _write(path: Path, counts: dict[str, int]) -> None:
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps(counts))
    os.replace(beside, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("seed", "total", "largest", "port"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--counts", type=Path, required=True)
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
