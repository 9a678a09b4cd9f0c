"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from entrepot.config.environment import FILE_VARIABLE

__all__ = ["config_option"]

config_option = click.option(
    "--config",
    "file",
    metavar="FILE",
    envvar=FILE_VARIABLE,
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="The configuration file; without one, the defaults hold.",
)
