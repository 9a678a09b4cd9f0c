"""Writes docs/cli.md from the commands' help: ``python -m entrepot.cli.reference > FILE``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from entrepot.cli.main import main

__all__ = ["render_reference"]

_INTRODUCTION = """\
# Command line

`entrepot`, or `python -m entrepot`. Exit codes: 0 done; 1 failed at run time, also where the port or the data
folder is another process's; 2 wrong usage or configuration.

Shells complete commands and options after `eval "$(_ENTREPOT_COMPLETE=bash_source entrepot)"`; for others say
`zsh_source`, or `_ENTREPOT_COMPLETE=fish_source entrepot | source`.
"""
_WIDTH = 100


def render_reference() -> str:
    sections = [f"## {name}\n\n```text\n{text}\n```\n" for name, text in _helps("entrepot", main, None)]
    return "\n".join([_INTRODUCTION, *sections])


def _helps(name: str, command: click.Command, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    settings = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    context = click.Context(command, parent, info_name=name, **settings)
    yield context.command_path, command.get_help(context)
    for child in command.list_commands(context) if isinstance(command, click.Group) else ():
        found = command.get_command(context, child) if isinstance(command, click.Group) else None
        if found is not None:
            yield from _helps(child, found, context)


if __name__ == "__main__":
    sys.stdout.write(render_reference())
