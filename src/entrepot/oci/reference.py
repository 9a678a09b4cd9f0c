"""Names of repositories, tags, and what manifests are asked for by (distribution-spec, "Pull")."""

from __future__ import annotations

import re
from dataclasses import dataclass

from entrepot.oci.digest import Digest

__all__ = [
    "InvalidName",
    "InvalidReference",
    "Reference",
    "Repository",
    "Tag",
    "check_name",
    "parse_reference",
]

MAX_NAME_LENGTH = 255
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


class InvalidName(ValueError):
    """The text is no repository name."""


class InvalidReference(ValueError):
    """The text is neither a tag nor a digest."""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of one upstream: ``upstream`` is the name it is configured by (``docker.io``)."""

    upstream: str
    name: str

    def __str__(self) -> str:
        return f"{self.upstream}/{self.name}"


@dataclass(frozen=True, slots=True)
class Tag:
    """A checked tag."""

    name: str

    def __str__(self) -> str:
        return self.name


Reference = Tag | Digest


def check_name(text: str) -> str:
    """Return ``text`` if it is a repository name, else raise ``InvalidName``."""
    if len(text) > MAX_NAME_LENGTH or _NAME.fullmatch(text) is None:
        raise InvalidName(text)
    return text


def parse_reference(text: str) -> Reference:
    """Read a tag or a digest.

    Raises ``InvalidDigest`` where the text holds a colon, as no tag can, and
    ``InvalidReference`` for all else that is neither.
    """
    if ":" in text:
        return Digest.parse(text)
    if _TAG.fullmatch(text) is None:
        raise InvalidReference(text)
    return Tag(text)
