"""Gathers the settings from their sources: command line over environment over file over defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from entrepot.config.checks import check_settings
from entrepot.config.decode import decode_settings
from entrepot.config.document import read_file
from entrepot.config.environment import read_upstreams_variable, read_variables
from entrepot.config.schema import DEFAULT_UPSTREAMS, Settings, UpstreamSettings
from entrepot.config.tree import Node, Place, Problem, merge, plant
from entrepot.errors import SettingsInvalid

__all__ = ["load_settings"]


def load_settings(file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Settings:
    """Read, check and complete the settings.

    ``overrides`` has the shape of the file and comes from the command line. Raises
    ``SettingsInvalid`` with one line for each problem there is.
    """
    problems: list[Problem] = []
    tree = _gather(file, environ, plant(overrides, Place("command line", Path())), problems)
    settings = decode_settings(tree, problems)
    problems += check_settings(settings, tree)
    if problems:
        problems.sort(key=lambda problem: (problem.place.source, problem.place.line or 0))
        raise SettingsInvalid("\n".join(str(problem) for problem in problems))
    return _with_endpoints(settings)


def _gather(file: Path | None, environ: Mapping[str, str], overrides: Node, problems: list[Problem]) -> Node:
    nothing = Node({}, Place("the defaults", Path()))
    tree = read_file(file, problems) if file else nothing
    if not isinstance(tree.value, dict | None):
        problems.append(Problem(tree.place, "", "expected a mapping of settings, key: value"))
        tree = nothing
    # Upstreams go first and whole: one that the command line names anew keeps nothing of the file,
    # whose credentials are not meant for another URL; variables may then speak of any of them.
    upstreams = read_upstreams_variable(environ, problems) or tree.children().get("upstreams")
    if upstreams is None or upstreams.value is None:
        upstreams = plant(dict.fromkeys(DEFAULT_UPSTREAMS), tree.place)
    added = overrides.children().get("upstreams")
    if added and isinstance(upstreams.value, dict):
        upstreams = Node(upstreams.value | added.children(), upstreams.place)
    tree = Node({**tree.children(), "upstreams": upstreams}, tree.place)
    tree = merge(tree, read_variables(environ, upstreams.children(), problems))
    tree = merge(tree, overrides)
    return _with_default_upstream(tree)


def _with_default_upstream(tree: Node) -> Node:
    """Make the first upstream the default where nobody named one and ``docker.io`` is not among them."""
    names = list(tree.children()["upstreams"].children())
    if "default_upstream" in tree.children() or not names or Settings().default_upstream in names:
        return tree
    return Node({**tree.children(), "default_upstream": Node(names[0], tree.place)}, tree.place)


def _with_endpoints(settings: Settings) -> Settings:
    upstreams = {
        name: upstream if upstream.endpoints else replace(upstream, endpoints=_usual_endpoints(name))
        for name, upstream in settings.upstreams.items()
    }
    return replace(settings, upstreams=upstreams)


def _usual_endpoints(name: str) -> tuple[str, ...]:
    return DEFAULT_UPSTREAMS.get(name, UpstreamSettings(endpoints=(f"https://{name}",))).endpoints
