"""Writes docs/cli.md from the commands' help: ``python -m entrepot.cli.reference > FILE``."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from entrepot.cli.main import main

__all__ = ["render_reference"]

_INTRODUCTION = r"""# Command line

`entrepot` is `.venv/bin/entrepot` among the sources, and `python -m entrepot` with that Python. As root,
`ln -s "$PWD/.venv/bin/entrepot" /usr/local/bin/` makes it known to every shell.

Exit codes: 0 done; 1 failed at run time, also where there is no such thing, or the port or the data folder is
another process's; 2 wrong usage or configuration, or no cache that can be called so; 130 ended by Ctrl-C.
Complaints go to standard error, with `--json` too.

## Which cache

`entrepot serve`, `verify`, `doctor`, `config` and `client-config` work on this machine. All other commands
call a running cache by its [admin API](api.md): the one that the configuration describes, or any other by its
URL and its administrator's [token](api.md#the-token). This machine's own is sent nowhere else.

The configuration is the file of `--config` and the variables of the [settings](configuration.md), as for
`serve`. What `serve` was told by its options alone, other commands do not know: tell them by variables.

```sh
entrepot serve --data /srv/cache --listen 127.0.0.1:5001 &
ENTREPOT_DATA=/srv/cache ENTREPOT_LISTEN=127.0.0.1:5001 entrepot status
```

```sh
export ENTREPOT_URL=https://cache.example:5000 ENTREPOT_TOKEN_FILE=~/cache-token
entrepot status
entrepot images --sort size --limit 10
entrepot audit --since 1h --repository docker.io/library/alpine
```

On a terminal they print tables, or a value a line where it is too narrow for one; elsewhere plain columns
with every name whole, without colours. `--json` prints what the API answers, an object a line, for `jq`.

Images and repositories are named as in a pull, or as they are listed: behind the name of their upstream, even
where that is like no host's. A name without an upstream is one of the default upstream.

## Completion

Shells complete commands, options, and the names of upstreams and of cached repositories, as the cache tells
them; a repository's name may begin behind its upstream, as in a pull:

| shell | once, or in its start-up file |
|---|---|
| bash | `eval "$(_ENTREPOT_COMPLETE=bash_source entrepot)"` |
| zsh | `eval "$(_ENTREPOT_COMPLETE=zsh_source entrepot)"` |
| fish | `_ENTREPOT_COMPLETE=fish_source entrepot \| source` |
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
