"""The program ``entrepot``: finds the command and turns its failures into messages and exit codes."""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import IO, Any

import click

from entrepot.errors import EntrepotError, SettingsInvalid
from entrepot.policy.spelling import did_you_mean

__all__ = ["main"]

_COMMANDS = {
    "serve": "Run the cache.",
    "status": "Show whether a cache is up, how full it is, and what is wrong with it.",
    "upstreams": "Show how the upstreams are, and test them.",
    "images": "List the cached repositories, with their size and last use.",
    "tags": "List the cached tags of a repository.",
    "inspect": "Look into a cached image.",
    "fills": "Show the downloads that run.",
    "warm": "Have a running cache fetch images before they are asked for.",
    "refresh": "Ask the upstream now what tags mean.",
    "pin": "Keep images from expiry and eviction, and list what is kept so.",
    "unpin": "Let images expire and be evicted again.",
    "purge": "Let go of cached tags, repositories or an upstream.",
    "verify": "Read stored content again and drop what is wrong.",
    "jobs": "Show what runs behind the answers, and run it now.",
    "collect": "Have go now what is due to go.",
    "events": "Show what the cache's log said lately.",
    "audit": "Show who asked what of the cache, and who did what to it.",
    "doctor": "Check what a cache needs here, and say what to do.",
    "config": "Check and show the configuration.",
    "client-config": "Print the files that point a host at the cache.",
}


class _Program(click.Group):
    """Imports a command's module when it is called, so that the others' parts cost it no time."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        gc.disable()  # Imports leave nothing to collect: to look for it takes a fifth of their time.
        try:
            command: click.Command = import_module(f"entrepot.cli.{cmd_name.replace('-', '_')}").command
        finally:
            gc.freeze()  # Nor does what they made ever go: the first look would take a tenth of a start.
            gc.enable()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}{did_you_mean(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        _open_closed_streams()
        try:
            return super().invoke(ctx)
        except SettingsInvalid as error:
            raise _Misconfigured(str(error)) from error
        except BrokenPipeError:  # Whoever read our output has had enough: click ends quietly.
            raise
        except (EntrepotError, OSError) as error:
            raise _Failed(f"entrepot: {_told(error)}") from error


def _told(error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and error.filename is None:  # As getcwd(2) has it.
        return "the working folder is there no more: change to another"
    return str(error)


class _Failed(click.ClickException):
    """Shown as it is, on standard error."""

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file=file, err=file is None)


class _Misconfigured(_Failed):
    exit_code = 2


def _open_closed_streams() -> None:
    """Read nothing and print to nobody where standard streams are closed, for which Python has ``None``.

    No file of the cache may get their numbers, and what is printed.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="entrepot", message="%(prog)s %(version)s")
def main() -> None:
    """Entrepot: a pull-through cache for container registries.

    Exit codes: 0 done; 1 failed at run time, or there is no such thing; 2 wrong usage or configuration,
    or no cache to call.
    """
