"""``entrepot client-config``: prints the files that point a host at the cache."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import click

from entrepot.cli.client_files import CLIENTS, Cache, ClientFile
from entrepot.cli.options import config_option
from entrepot.config.forms import check_endpoint, check_upstream_name
from entrepot.config.load import load_settings
from entrepot.policy.spelling import did_you_mean

__all__ = ["command"]


def _read_url(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if "@" in value:  # Not shown: a password may be in it.
        raise click.BadParameter("expected a URL without user and password: the cache asks for none")
    try:
        url = check_endpoint(value, Path())
    except ValueError as error:
        expected = "expected the URL of the cache, such as http://cache.example:5000"
        raise click.BadParameter(f"{expected}, its port from 1 to 65535, found {value!r}") from error
    if urlsplit(url).path:
        raise click.BadParameter("expected a URL without a path: clients accept none for a registry")
    return url


def _read_names(
    _context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    for name in value:
        try:
            check_upstream_name(name, Path())
        except ValueError as error:
            raise click.BadParameter(f"{error}, found {name!r}") from error
    return value


@click.command()
@click.argument("client", type=click.Choice(list(CLIENTS)))
@click.option(
    "--url",
    required=True,
    callback=_read_url,
    help="Where the host finds the cache: http://cache.example:5000.",
)
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    metavar="NAME",
    callback=_read_names,
    help="A registry to pull through the cache; without any, all that are configured. May be repeated.",
)
@config_option
def command(*, client: str, url: str, upstreams: tuple[str, ...], file: Path | None) -> None:
    """Print the files that point a host at the cache.

    The files go to standard output, so that one alone can be redirected to its place; where they go
    and what else is to be done, to standard error.
    """
    if client == "podman" and "[" in url:
        complaint = "expected a host name or an IPv4 address: Podman's names of images hold no IPv6 address"
        raise click.BadParameter(complaint, param_hint="'--url'")
    every_registry = client == "containerd" and not upstreams
    configured = load_settings(file, os.environ, {}).upstreams
    names = upstreams or tuple(configured)
    hostnames = {name: upstream.hostnames[0] for name, upstream in configured.items() if upstream.hostnames}
    setup = CLIENTS[client](Cache(url, hostnames), () if every_registry else names)
    click.echo("\n".join(_with_place(client_file) for client_file in setup.files), nl=False)
    for line in (*(f"File: {client_file.path}" for client_file in setup.files), *setup.notes):
        click.echo(line, err=True)
    for name in upstreams:
        if name not in configured:
            hint = did_you_mean(name, configured)
            click.echo(
                f"The configuration here has no upstream {name}, and the cache needs one{hint or '.'}",
                err=True,
            )


def _with_place(client_file: ClientFile) -> str:
    """Put the place before the content, where the format has comments."""
    has_comments = not client_file.path.endswith(".json")
    return f"# {client_file.path}\n{client_file.content}" if has_comments else client_file.content
