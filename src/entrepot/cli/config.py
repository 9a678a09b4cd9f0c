"""``entrepot config``: checks and shows the configuration."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
from msgspec.structs import asdict

from entrepot.cli.machine_checks import check_budget
from entrepot.cli.options import config_option, json_option
from entrepot.cli.tables import print_json
from entrepot.cli.upstream_checks import check_names
from entrepot.config.data_folder import readable
from entrepot.config.json_schema import json_schema
from entrepot.config.load import load_settings
from entrepot.config.show import plain, render_settings

__all__ = ["command"]


@click.group()
def command() -> None:
    """Check and show the configuration."""


@command.command()
@config_option
@json_option
def check(*, file: Path | None, as_json: bool) -> None:
    """Check file and environment; tell every problem, or what would be served."""
    settings = load_settings(file, os.environ, {})
    warnings = [*check_names(settings), *check_budget(settings)]
    if as_json:
        print_json(
            {
                "file": None if file is None else str(file),
                "listen": settings.listen,
                "data": None if settings.data is None else str(readable(Path(settings.data))),
                "default_upstream": settings.default_upstream,
                "upstreams": list(settings.upstreams),
                "warnings": list(map(asdict, warnings)),
            }
        )
        return
    others = [name for name in settings.upstreams if name != settings.default_upstream]
    click.echo("OK")
    click.echo(f"  file       {file or 'none'}")
    click.echo(f"  listen     {settings.listen}")
    data = "chosen at start" if settings.data is None else readable(Path(settings.data))
    click.echo(f"  data       {data}")
    click.echo(f"  upstreams  {', '.join([f'{settings.default_upstream} (default)', *others])}")
    for finding in warnings:
        click.echo(f"warning: {finding.found}: {finding.advice}", err=True)


@command.command()
@config_option
@json_option
def show(*, file: Path | None, as_json: bool) -> None:
    """Print all settings in force as YAML, secrets hidden."""
    settings = load_settings(file, os.environ, {})
    if as_json:
        print_json(plain(settings))
    else:
        click.echo(render_settings(settings), nl=False)


@command.command()
def schema() -> None:
    """Print the JSON schema of the configuration file."""
    click.echo(json.dumps(json_schema(), indent=2))
