"""Digests: the names of content (image-spec, "Digests")."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Self

from msgspec import Struct

__all__ = ["DIGEST", "Digest", "InvalidDigest"]

DIGEST = r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}"
_FORM = re.compile(DIGEST)


class InvalidDigest(ValueError):
    """The text does not name content."""


class Digest(Struct, frozen=True, cache_hash=True, gc=False):
    """A checked digest.  Whoever holds one need not check it again."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``algorithm:hex``; raise ``InvalidDigest`` for all but lower-case sha256 and sha512."""
        if _FORM.fullmatch(text) is None:
            raise InvalidDigest(text)
        algorithm, _, encoded = text.partition(":")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Self:
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())

    def hasher(self) -> Any:
        """Start an empty hash object of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def names(self, content: bytes) -> bool:
        """Tell whether ``content`` is what this digest stands for."""
        return Digest.of(content, self.algorithm) == self

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"
