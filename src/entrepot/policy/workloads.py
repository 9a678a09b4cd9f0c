"""Which images workloads name: Compose files, Kubernetes manifests, lists.

Documents come as plain values, YAML already read; what they hold beside images is nobody's business here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = [
    "UnsetVariable",
    "images_of_compose",
    "images_of_kubernetes",
    "images_of_list",
    "read_variables",
]

_CONTAINERS = frozenset(("containers", "initContainers", "ephemeralContainers"))
_DEEPEST = 100
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_WORD = "[^{}]*"
for _ in range(3):  # So deep may variables stand within one another.
    _WORD = rf"(?:[^{{}}]|\$\{{{_WORD}\}})*"
# Compose: $NAME and ${NAME}, with a default (:- -), a complaint (:? ?) or a replacement (:+ +).
_VARIABLE = re.compile(
    rf"\$(?:(?P<escaped>\$)|(?P<bare>{_NAME})|\{{(?P<name>{_NAME})(?:(?P<rule>:?[-?+])(?P<word>{_WORD}))?\}})"
)


class UnsetVariable(ValueError):
    """An image is named by a variable that has no value."""


def images_of_list(text: str) -> list[str]:
    """Take an image a line; what follows ``#`` is a comment."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return _once(line for line in lines if line)


def images_of_compose(document: Any, variables: Mapping[str, str]) -> list[str]:
    """Take the image of every service that is not built; raise ``UnsetVariable``.

    A service that has both ``build`` and ``image`` names what will be built: no registry need have it.
    """
    services = _mapping(_mapping(document).get("services")).values()
    found = (service for service in services if isinstance(service, dict) and "build" not in service)
    images = (service.get("image") for service in found)
    return _once(_interpolated(image, variables) for image in images if isinstance(image, str))


def images_of_kubernetes(documents: Iterable[Any]) -> list[str]:
    """Take the image of every container, of whatever kind of object: lists, templates, custom resources.

    Volumes of images (``volumes[].image.reference``) count as well.
    """
    return _once(image for document in documents for image in _walk(document, 0))


def read_variables(text: str) -> dict[str, str]:
    """Read a Compose project's ``.env``: ``NAME=VALUE`` a line, the value perhaps quoted."""
    lines = (line.strip().removeprefix("export ") for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): _unquoted(value.strip()) for name, _, value in pairs}


def _unquoted(value: str) -> str:
    if value[:1] in ("'", '"') and (end := value.find(value[0], 1)) > 0:
        return value[1:end]
    return re.split(r"\s#", value, maxsplit=1)[0].rstrip()


def _walk(value: Any, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for member in value:
            yield from _walk(member, depth + 1)
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from _named(key, member)
            yield from _walk(member, depth + 1)


def _named(key: Any, member: Any) -> Iterator[str]:
    if not isinstance(member, list):
        return
    for item in filter(_is_mapping, member):
        image = item.get("image")
        if key == "volumes":
            image = _mapping(image).get("reference")
        elif key not in _CONTAINERS:
            continue
        if isinstance(image, str) and image.strip():
            yield image.strip()


def _interpolated(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name, rule, word = match["bare"] or match["name"], match["rule"] or "", match["word"] or ""
        known = variables.get(name)
        is_set = bool(known) if rule.startswith(":") else known is not None
        if rule.endswith("+"):
            return _interpolated(word, variables) if is_set else ""
        if is_set and known is not None:
            return known
        if not rule.endswith("-"):
            raise UnsetVariable(f"image {text!r}: the variable {name} is not set" + (word and f": {word}"))
        return _interpolated(word, variables)

    return _VARIABLE.sub(value, text).strip()


def _once(images: Iterable[str]) -> list[str]:
    """Keep each image once, in the order in which they come."""
    return list(dict.fromkeys(image for image in images if image))


def _mapping(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)
