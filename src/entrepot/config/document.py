"""Reads YAML into text with line numbers, so that every complaint can say where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from entrepot.config.tree import Node, Place, Problem

__all__ = ["read_document", "read_file"]

_MOST_LEVELS = 20
_QUOTED = re.compile(r"""['"][^'"< ]{3,}['"]""")
_NULL, _MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"


def read_file(path: Path, problems: list[Problem]) -> Node:
    """Read a configuration file; one that cannot be read is a problem and holds nothing."""
    place = Place(str(path), path.absolute().parent)
    try:
        return read_document(path.read_bytes().decode("utf-8-sig"), place, problems)
    except OSError as error:
        problems.append(Problem(place, "", f"cannot be read: {error.strerror or error}"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.append(Problem(_at(place, line), "", "expected UTF-8 text"))
    return Node(None, place)


def read_document(text: str, place: Place, problems: list[Problem]) -> Node:
    """Read one YAML document; what is no YAML, or is nested too deeply, is a problem and holds nothing."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        return Node(None, place) if root is None else _Reader(place, problems).read(root, place, ())
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.append(Problem(_at(place, line), "", "expected no control characters"))
    except yaml.MarkedYAMLError as error:
        problems.append(Problem(_at(place, _line(error)), "", _complaint(error)))
    except RecursionError:
        problems.append(Problem(place, "", f"expected at most {_MOST_LEVELS} levels"))
    return Node(None, place)


class _Reader:
    """Turns PyYAML's nodes into ours, and collects the keys that are given twice."""

    def __init__(self, place: Place, problems: list[Problem]) -> None:
        self._place = place
        self._problems = problems
        self._seen: set[int] = set()
        self._constructor = yaml.constructor.SafeConstructor()

    def read(self, node: yaml.Node, place: Place, path: tuple[str, ...]) -> Node:
        if len(path) > _MOST_LEVELS:
            raise RecursionError
        match node:
            case yaml.MappingNode():
                return Node(dict(self._entries(node, path)), place)
            case yaml.SequenceNode():
                items = (self.read(item, self._at(item), (*path, "-")) for item in node.value)
                return Node(tuple(items), place)
            case yaml.ScalarNode(tag=tag) if tag == _NULL:
                return Node(None, place)
            case yaml.ScalarNode(tag=tag) if not tag.startswith("tag:yaml.org,2002:"):
                self._complain(place, path, "expected no tags: put quotes around text that begins with !")
                return Node("", place)
            case _:
                return Node(node.value, place)

    def _entries(self, mapping: yaml.MappingNode, path: tuple[str, ...]) -> Iterator[tuple[str, Node]]:
        if id(mapping) not in self._seen:  # An alias comes here again, its merges already among its keys.
            self._seen.add(id(mapping))
            self._refuse_repeated(mapping, path)
        self._constructor.flatten_mapping(mapping)
        for key, value in mapping.value:
            if isinstance(key, yaml.ScalarNode):
                yield key.value, self.read(value, self._at(key), (*path, key.value))
            else:
                self._complain(self._at(key), path, "expected text as a key")

    def _refuse_repeated(self, mapping: yaml.MappingNode, path: tuple[str, ...]) -> None:
        first: dict[str, int] = {}
        for key, _ in mapping.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            place = self._at(key)
            if key.value in first:
                complaint = f"given twice, first at line {first[key.value]}"
                self._complain(place, (*path, key.value), complaint)
            first.setdefault(key.value, place.line or 0)

    def _complain(self, place: Place, path: tuple[str, ...], complaint: str) -> None:
        self._problems.append(Problem(place, ".".join(path), complaint))

    def _at(self, node: yaml.Node) -> Place:
        return _at(self._place, node.start_mark.line + 1)


def _at(place: Place, line: int) -> Place:
    return Place(place.source, place.folder, line)


def _line(error: yaml.MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark else 1


def _complaint(error: yaml.MarkedYAMLError) -> str:
    """Tell what is wrong without repeating text of the file, which may be part of a password."""
    if "alias" in (error.problem or ""):
        return "expected no alias: put quotes around text that begins with *"
    said = ", ".join(part for part in (error.context, error.problem) if part)
    return "is no YAML: " + _QUOTED.sub("...", said)
