"""Reads the images that files name: lists, Compose files, Kubernetes manifests."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml
from yaml.composer import Composer

from entrepot.policy.workloads import (
    UnsetVariable,
    images_of_compose,
    images_of_kubernetes,
    images_of_list,
    read_variables,
)

__all__ = ["read_compose", "read_kubernetes", "read_list"]

_STANDARD_INPUT = "-"

if TYPE_CHECKING:
    from yaml import SafeLoader as _Loader
else:  # Scans in C, where the library was built with that: a cluster's manifests are megabytes.
    _Scanner = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class _Loader(Composer, _Scanner):
        """Composes in Python: in C that has no limit, and deep nesting would end the process."""

        def __init__(self, text: str) -> None:
            _Scanner.__init__(self, text)
            Composer.__init__(self)


class _Documents(_Loader):
    """Takes a tag that it does not know for none: Compose's ``!reset``, and ``=`` in custom resources."""


def _plain(loader: _Documents, node: yaml.Node) -> Any:
    match node:
        case yaml.MappingNode():
            return loader.construct_mapping(node, deep=True)
        case yaml.SequenceNode():
            return loader.construct_sequence(node, deep=True)
        case _:
            return node.value


_Documents.add_constructor(None, _plain)


def read_list(path: str) -> list[str]:
    return images_of_list(_text(path))


def read_compose(path: str) -> list[str]:
    """Read a Compose file, whose variables are those of the environment and of ``.env`` beside it."""
    documents = _documents(path)
    try:
        return images_of_compose(documents[0] if documents else None, _variables(path))
    except UnsetVariable as unset:
        raise click.UsageError(f"{path}: {unset}; set it, or put it into .env") from unset


def read_kubernetes(path: str) -> list[str]:
    return images_of_kubernetes(_documents(path))


def _documents(path: str) -> list[Any]:
    try:
        return list(yaml.load_all(_text(path), Loader=_Documents))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise click.UsageError(f"{path} is no YAML: {error}") from error


def _text(path: str) -> str:
    try:
        content = sys.stdin.buffer.read() if path == _STANDARD_INPUT else Path(path).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise click.UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path} is no UTF-8 text") from error


def _variables(path: str) -> Mapping[str, str]:
    beside = (Path() if path == _STANDARD_INPUT else Path(path).parent) / ".env"
    return {**(read_variables(_text(str(beside))) if beside.is_file() else {}), **os.environ}
