"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from entrepot.cli.api_client import ApiFailed, connect
from entrepot.config.environment import CA_VARIABLE, FILE_VARIABLE, TOKEN_VARIABLE, URL_VARIABLE

__all__ = [
    "api_options",
    "config_option",
    "json_option",
    "limit_option",
    "search_option",
    "server_options",
]

Function = Callable[..., Any]

config_option = click.option(
    "--config",
    "file",
    metavar="FILE",
    envvar=FILE_VARIABLE,
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="The configuration file; without one, the defaults hold.",
)
_url_option = click.option(
    "--url",
    metavar="URL",
    envvar=URL_VARIABLE,
    show_envvar=True,
    help="The cache; without it, the one that the configuration describes.",
)
_token_option = click.option(
    "--token-file",
    metavar="FILE",
    envvar=TOKEN_VARIABLE,
    show_envvar=True,
    type=click.Path(path_type=Path),
    help="The administrator's token; without it, the configured one or that of the data folder.",
)
_ca_option = click.option(
    "--ca-file",
    metavar="FILE",
    envvar=CA_VARIABLE,
    show_envvar=True,
    type=click.Path(path_type=Path, exists=True),
    help="PEM file of authorities to trust, for --url.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")
limit_option = click.option(
    "--limit", metavar="N", type=click.IntRange(1), help="So many at most; without it, all."
)
search_option = click.option("--search", metavar="TEXT", default="", help="Only what contains this text.")


def server_options(function: Function) -> Function:
    """Name a cache: ``file``, ``url``, ``token_file``, ``ca_file``."""
    return config_option(_url_option(_token_option(_ca_option(function))))


def api_options(function: Function) -> Function:
    """Name a cache, and give the command ``api``, by which it is called."""

    @wraps(function)
    def with_api(
        *, file: Path | None, url: str | None, token_file: Path | None, ca_file: Path | None, **given: Any
    ) -> Any:
        api = connect(file, url, token_file, ca_file)
        try:
            return function(api=api, **given)
        except KeyError as missing:
            reason = f"answers without {missing}: it may be of another version than this program"
            raise ApiFailed(f"{api.url} {reason}") from missing

    return server_options(with_api)
