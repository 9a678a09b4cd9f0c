"""Names of repositories, tags, and what manifests are asked for by (distribution-spec, "Pull")."""

from __future__ import annotations

import re

from msgspec import Struct

from entrepot.oci.digest import Digest

__all__ = [
    "HOST",
    "NAME",
    "TAG",
    "InvalidName",
    "InvalidReference",
    "Reference",
    "Repository",
    "Tag",
    "check_hosted_name",
    "check_name",
    "parse_reference",
    "split_host",
]

MAX_NAME_LENGTH = 255
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9]+(?:-+[a-zA-Z0-9]+)*"
_PORT = r"(?::[0-9]{1,5})"
_ADDRESS = r"\[[0-9a-fA-F.]*:[0-9a-fA-F:.]*\]"
HOST = rf"(?:{_LABEL}(?:\.{_LABEL})+{_PORT}?|{_LABEL}{_PORT}|{_ADDRESS}{_PORT}?|localhost)"
"""The pattern of a host in a path: a dot, a colon or ``localhost`` tells it from a repository's component."""

NAME = rf"{_COMPONENT}(?:/{_COMPONENT})*"
TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
_NAME = re.compile(NAME)
_HOSTED_NAME = re.compile(rf"{NAME}|{HOST}/{NAME}")
_TAG = re.compile(TAG)


class InvalidName(ValueError):
    """The text is no repository name."""


class InvalidReference(ValueError):
    """The text is neither a tag nor a digest."""


class Repository(Struct, frozen=True, cache_hash=True, gc=False):
    """A repository of one upstream: ``upstream`` is the name it is configured by (``docker.io``)."""

    upstream: str
    name: str

    def __str__(self) -> str:
        return f"{self.upstream}/{self.name}"


class Tag(Struct, frozen=True, cache_hash=True, gc=False):
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


def check_hosted_name(text: str) -> str:
    """As ``check_name``, but the name may begin with the host of its registry (``docker.io/library/alpine``).

    The specification's advice on length counts the host in, and so does this.
    """
    if len(text) > MAX_NAME_LENGTH or _HOSTED_NAME.fullmatch(text) is None:
        raise InvalidName(text)
    return text


def split_host(name: str) -> tuple[str | None, str]:
    """Split a checked name into its host, if it begins with one, and the repository's name there.

    A name of one component is a repository, whatever it holds.
    """
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return None, name


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
