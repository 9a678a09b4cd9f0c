"""``entrepot serve``: runs the cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from entrepot import process
from entrepot.cli.options import config_option
from entrepot.config.kinds import meaning_of
from entrepot.config.load import load_settings
from entrepot.config.schema import LogLevel, Settings

__all__ = ["Serve", "command"]

Serve = Callable[[Settings, Callable[[], Settings]], int]


class _Upstream(click.ParamType[tuple[str, list[str]]]):
    name = "upstream"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, list[str]]:
        name, equals, text = value.partition("=")
        urls = [url.strip() for url in text.split(",") if url.strip()]
        if not name:
            self.fail(f"{value!r} begins with no name", param, ctx)
        if equals and not urls:
            self.fail(f"{value!r} ends without a URL: say {name} alone for its own host", param, ctx)
        return name, urls


def _refuse_repeated(
    _context: click.Context, _parameter: click.Parameter, value: tuple[tuple[str, list[str]], ...]
) -> tuple[tuple[str, list[str]], ...]:
    names = [name for name, _ in value]
    for name in names:
        if names.count(name) > 1:
            raise click.BadParameter(f"{name} is given twice: name all its URLs at once, {name}=URL,URL")
    return value


@click.command()
@config_option
@click.option("--listen", metavar="HOST:PORT", help=meaning_of("listen"))
@click.option("--data", metavar="DIR", help=meaning_of("data"))
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    type=_Upstream(),
    callback=_refuse_repeated,
    metavar="NAME[=URL,...]",
    help="Add a registry by its host, as images name it, or put it in the place of the configured one. May be"
    " repeated.",
)
@click.option("--log-level", type=click.Choice(get_args(LogLevel)), help=meaning_of("log", "level"))
@click.pass_context
def command(
    context: click.Context,
    *,
    file: Path | None,
    listen: str | None,
    data: str | None,
    upstreams: tuple[tuple[str, list[str]], ...],
    log_level: str | None,
) -> None:
    """Run the cache until SIGTERM, which lets running answers finish.

    SIGHUP reads the configuration again; a wrong one is refused and the old one stays.
    """
    given: dict[str, Any] = {"listen": listen, "data": data}
    given["log"] = {"level": log_level} if log_level else None
    given["upstreams"] = {name: {"endpoints": urls} for name, urls in upstreams} or None
    overrides = {name: value for name, value in given.items() if value is not None}

    def load() -> Settings:
        return load_settings(file, os.environ, overrides)

    serve: Serve = context.obj or process.serve
    context.exit(serve(load(), load))
