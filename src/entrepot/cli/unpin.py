"""``entrepot unpin``: lets content expire and be evicted again."""

from __future__ import annotations

import click

from entrepot.cli import pin
from entrepot.cli.api_client import ApiClient
from entrepot.cli.options import api_options, json_option

__all__ = ["command"]


@click.command()
@api_options
@pin.upstream_option
@json_option
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
def command(*, api: ApiClient, upstream: str | None, as_json: bool, images: tuple[str, ...]) -> None:
    """Remove pins that were set here; what only they kept may go from now on.

    An IMAGE is what entrepot pin lists. What the configuration pins is removed from retention.pin there.

    Exit codes: 0 done; 1 one is not pinned, or by the configuration; 2 wrong usage, or no cache to call.
    """
    pin.unpin(api, images, upstream, as_json=as_json)
