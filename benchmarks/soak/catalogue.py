"""Images that two processes know without telling each other: the same seed makes the same bytes."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from entrepot.oci.digest import Digest

__all__ = ["MANIFEST_TYPE", "Catalogue", "Image", "Layer"]

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
_BASES = 8
_SMALLEST = 16 << 10
_ZIPF = 1.1


@dataclass(frozen=True, slots=True)
class Layer:
    """A stretch of the catalogue's bytes: no two begin at the same place, so no two are alike."""

    digest: Digest
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Image:
    repository: str
    manifest: bytes
    layers: tuple[Layer, ...]


class Catalogue:
    """Images of ``total`` bytes in all, each on one of eight bases; no layer has more than ``largest``."""

    def __init__(self, seed: int, total: int, largest: int) -> None:
        self._random = Random(seed)
        self._largest = largest
        self._bytes = memoryview(self._random.randbytes(largest * 2))
        bases = [tuple(self._layers(2)) for _ in range(_BASES)]
        self.size = sum(layer.size for base in bases for layer in base)
        self.images: list[Image] = []
        while self.size < total:
            own = tuple(self._layers(self._random.randint(1, 4)))
            self.size += sum(layer.size for layer in own)
            self.images.append(_image(len(self.images), (*self._random.choice(bases), *own)))
        self._weights = list(accumulate(1 / rank**_ZIPF for rank in range(1, len(self.images) + 1)))

    def content(self, layer: Layer, start: int = 0, stop: int | None = None) -> memoryview:
        return self._bytes[layer.start : layer.start + layer.size][start:stop]

    def popular(self, chance: Random) -> Image:
        """Choose an image as people do: few of them again and again."""
        return self.images[bisect(self._weights, chance.random() * self._weights[-1])]

    def _layers(self, count: int) -> Iterator[Layer]:
        for _ in range(count):
            size = int(_SMALLEST * (self._largest / _SMALLEST) ** self._random.random())
            start = self._random.randrange(len(self._bytes) - size)
            yield Layer(
                Digest("sha256", hashlib.sha256(self._bytes[start : start + size]).hexdigest()), start, size
            )


def _image(number: int, layers: tuple[Layer, ...]) -> Image:
    described = [
        {"mediaType": _LAYER_TYPE, "digest": str(layer.digest), "size": layer.size} for layer in layers
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": described[0],
        "layers": described,
    }
    return Image(f"soak/{number}", json.dumps(document).encode(), layers)
