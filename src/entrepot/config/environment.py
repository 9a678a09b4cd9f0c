"""Reads settings from environment variables: ``ENTREPOT_CACHE__MAX_SIZE`` is ``cache.max_size``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import inspect

from entrepot.config.document import read_document
from entrepot.config.kinds import SETTINGS, Kind, fields_of, kind_of, member_of
from entrepot.config.schema import UpstreamSettings
from entrepot.config.tree import Node, Place, Problem, merge
from entrepot.policy.spelling import did_you_mean

__all__ = [
    "CA_VARIABLE",
    "FILE_VARIABLE",
    "TOKEN_VARIABLE",
    "UPSTREAMS_VARIABLE",
    "URL_VARIABLE",
    "read_upstreams_variable",
    "read_variables",
    "variable_name",
]

PREFIX = "ENTREPOT_"
FILE_VARIABLE = f"{PREFIX}CONFIG"
UPSTREAMS_VARIABLE = f"{PREFIX}UPSTREAMS"
URL_VARIABLE, TOKEN_VARIABLE, CA_VARIABLE = (f"{PREFIX}{name}" for name in ("URL", "TOKEN_FILE", "CA_FILE"))
_OF_COMMANDS = (FILE_VARIABLE, URL_VARIABLE, TOKEN_VARIABLE, CA_VARIABLE)
_READ_ELSEWHERE = (*_OF_COMMANDS, UPSTREAMS_VARIABLE, f"{PREFIX}REQUIRE_CLIENTS")  # The last by the tests.
_LEVEL = "__"

# Kubernetes tells every pod of a service named "entrepot", or "entrepot-...", by variables like these.
# ENTREPOT_PORT alone may be meant for us: only by its value it is told apart.
_OF_KUBERNETES = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?=|PORT=(tcp|udp|sctp)://).*",
    re.DOTALL,
)


def variable_name(*path: str) -> str:
    """Return the variable of the setting at ``path``; in a name, all but letters and digits become ``_``."""
    return PREFIX + _LEVEL.join(re.sub(r"[^0-9A-Za-z_]", "_", level).upper() for level in path)


def read_upstreams_variable(environ: Mapping[str, str], problems: list[Problem]) -> Node | None:
    """Read the variable that replaces all upstreams, if it is set."""
    text = environ.get(UPSTREAMS_VARIABLE)
    return read_document(text, _place(UPSTREAMS_VARIABLE), problems) if text else None


def read_variables(environ: Mapping[str, str], upstreams: Iterable[str], problems: list[Problem]) -> Node:
    """Read every other variable of ours; ``upstreams`` are the names that variables may speak of.

    A variable that is set to nothing counts as not set.
    """
    ours = sorted(name for name in environ if name.startswith(PREFIX) and name not in _READ_ELSEWHERE)
    known = _known(upstreams) if ours else {}
    root = Node({}, _place("the environment"))
    for variable in ours:
        paths = known.get(variable.upper(), [])
        if len(paths) == 1 and environ[variable]:
            node = _read(variable, environ[variable], paths[0][1], problems)
            root = merge(root, _nest(paths[0][0], node))
        elif len(paths) > 1:
            names = " and ".join(".".join(path) for path, _ in paths)
            problems.append(Problem(_place(variable), "", f"expected one setting, and it names {names}"))
        elif not paths and not _OF_KUBERNETES.fullmatch(f"{variable}={environ[variable]}"):
            problems.append(Problem(_place(variable), "", _complaint(variable, known)))
    return root


def _known(upstreams: Iterable[str]) -> dict[str, list[tuple[tuple[str, ...], Kind]]]:
    """Name the variable of every setting, those of each upstream included."""
    settings = list(_walk((), SETTINGS))
    upstream = kind_of(inspect.type_info(UpstreamSettings))
    for name in upstreams:
        settings += [(("upstreams", name), upstream), *_walk(("upstreams", name), upstream)]
    known: dict[str, list[tuple[tuple[str, ...], Kind]]] = {}
    for path, kind in settings:
        known.setdefault(variable_name(*path), []).append((path, kind))
    return known


def _complaint(variable: str, known: Iterable[str]) -> str:
    """Tell what is unknown: an upstream, or a setting."""
    of_upstreams = UPSTREAMS_VARIABLE + _LEVEL
    names = {name.removeprefix(of_upstreams) for name in known if name.startswith(of_upstreams)}
    named = variable.upper().removeprefix(of_upstreams)
    if named != variable.upper() and not any(named.startswith(name + _LEVEL) for name in names):
        name = named.split(_LEVEL)[0]
        return f"no upstream is called {name}" + did_you_mean(name, names)
    if variable == f"{PREFIX}PORT":
        return f"no such setting: the port goes to {variable_name('listen')}, like :5000"
    return "no such setting" + did_you_mean(variable, known)


def _walk(path: tuple[str, ...], section: Kind) -> Iterator[tuple[tuple[str, ...], Kind]]:
    for name, field in fields_of(section).items():
        kind = kind_of(field.type)
        yield (*path, name), kind
        yield from _walk((*path, name), kind)


def _read(variable: str, text: str, kind: Kind, problems: list[Problem]) -> Node:
    """Take sections as YAML, and so JSON; lists as that or separated by commas; all else as text."""
    place, member = _place(variable), member_of(kind)
    is_list = isinstance(kind.type, inspect.VarTupleType)
    if fields_of(kind) or (member and fields_of(member)) or (is_list and text.lstrip().startswith("[")):
        return read_document(text, place, problems)
    if is_list:
        items = (item.strip() for item in text.split(","))
        return Node(tuple(Node(item, place) for item in items if item), place)
    return Node(text, place)


def _nest(path: tuple[str, ...], node: Node) -> Node:
    for name in reversed(path):
        node = Node({name: node}, node.place)
    return node


def _place(variable: str) -> Place:
    return Place(variable, Path())
