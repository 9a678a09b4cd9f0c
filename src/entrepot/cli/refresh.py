"""``entrepot refresh``: has the upstream asked now what tags mean."""

from __future__ import annotations

from typing import Any

import click

from entrepot.cli.api_client import ApiClient, NotDone
from entrepot.cli.image_names import images_argument
from entrepot.cli.options import api_options, json_option
from entrepot.cli.tables import print_json
from entrepot.oci.image_reference import ImageReference

__all__ = ["command"]


@click.command()
@api_options
@json_option
@images_argument
def command(*, api: ApiClient, as_json: bool, images: tuple[ImageReference, ...]) -> None:
    """Ask the upstream now what tags mean, however fresh they are here; one not cached yet is pulled.

    An IMAGE is named as in a pull, or as it is listed; without an upstream, it is of the default one.

    Exit codes: 0 done, moved or not; 1 one could not be had, and is named; 2 wrong usage, or no cache
    to call.
    """
    if any(image.digest is not None for image in images):
        raise click.UsageError("expected tags: what a digest means never changes")
    failures = 0
    for image in images:
        try:
            done = api.call("POST", f"/tags/{image.tag}/refresh", query={"repository": image.name})
        except NotDone as failed:
            failures += 1
            click.echo(f"failed: {image.name}:{image.tag}: {failed.message}", err=True)
            continue
        if as_json:
            print_json(done)
        else:
            click.echo(_told(done))
    click.get_current_context().exit(1 if failures else 0)


def _told(done: dict[str, Any]) -> str:
    image = f"{done['repository']}:{done['tag']}"
    if not done["changed"]:
        return f"{image} unchanged, {done['after']}"
    return f"{image} moved to {done['after']}" if done["before"] else f"{image} pulled, {done['after']}"
