"""``entrepot warm``: has a running cache fetch images before anybody asks for them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable
from contextlib import nullcontext
from typing import Any

import click

from entrepot.cli.api_client import ApiClient
from entrepot.cli.options import api_options, json_option
from entrepot.cli.selections import upstreams_of
from entrepot.cli.tables import drawing
from entrepot.cli.waiting import INTERRUPTED, looks
from entrepot.cli.workload_files import read_compose, read_kubernetes, read_list
from entrepot.oci.image_reference import InvalidImage, parse_image
from entrepot.oci.platform import InvalidPlatform, parse_platform
from entrepot.oci.reference import Repository
from entrepot.policy.routing import resolve_named

__all__ = ["command"]

_SECONDS_BETWEEN_LOOKS = 0.3


@click.command()
@api_options
@click.option(
    "--platform",
    "platforms",
    metavar="OS/ARCH",
    multiple=True,
    help="Fetch this one only, as linux/arm64; may be repeated.",
)
@click.option("--referrers", is_flag=True, help="Fetch signatures, SBOMs and the like as well.")
@click.option("--only-signed", is_flag=True, help="Leave images alone that have no signature.")
@click.option("--file", "lists", metavar="FILE", multiple=True, help="An image a line; - is standard input.")
@click.option("--compose", "composes", metavar="FILE", multiple=True, help="A Compose file.")
@click.option(
    "--kubernetes",
    "manifests",
    metavar="FILE",
    multiple=True,
    help="Kubernetes manifests, such as Helm writes; - is standard input.",
)
@click.option("--detach", is_flag=True, help="Leave the cache to it and tell its number.")
@json_option
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
def command(*, api: ApiClient, detach: bool, as_json: bool, **options: Any) -> None:
    """Have a running cache fetch images, and wait until they are there.

    An IMAGE is named as in a pull: alpine, ghcr.io/owner/name:v1, name@sha256:...; without an upstream, it is
    of the default one, but in a file of Docker Hub, as workloads mean it. Its tag may be a pattern, as in
    nginx:1.2*. Interrupted, the command ends, and the cache goes on.

    Exit codes: 0 all are there, but for unsigned ones that are left alone; 1 some are not, and are
    named, or no tag matches; 2 wrong usage, or no cache to call.
    """
    images = _images(options)
    _check(images, options["platforms"])
    images = _named(api, images, options["images"])
    choices = {name: options[name] for name in ("platforms", "referrers", "only_signed")}
    warm = api.call("POST", "/warms", {"images": images, **choices})
    if not detach:
        warm = _watch(api, warm["id"])
    if as_json:
        click.echo(json.dumps(warm))
    else:
        _tell(warm)
    is_done = warm["state"] == "done" and warm["images"] > 0
    click.get_current_context().exit(0 if detach or is_done else 1)


def _images(options: dict[str, Any]) -> list[str]:
    readers = (("lists", read_list), ("composes", read_compose), ("manifests", read_kubernetes))
    of_files = [image for name, read in readers for path in options[name] for image in read(path)]
    images = list(dict.fromkeys([*options["images"], *of_files]))
    if not images:
        files = ", ".join(path for name, _ in readers for path in options[name])
        complaint = f", and {files} names none" if files else ""
        raise click.UsageError(f"expected an image, or a file that names some{complaint}")
    return images


def _check(images: Iterable[str], platforms: Iterable[str]) -> None:
    """Complain of names in words, before the cache does by patterns."""
    try:
        for image in images:
            parse_image(image)
    except InvalidImage as invalid:
        raise click.UsageError(str(invalid)) from invalid
    for platform in platforms:
        try:
            parse_platform(platform)
        except InvalidPlatform as invalid:
            raise click.UsageError(f"{invalid}, found {platform!r}") from invalid


def _named(api: ApiClient, images: list[str], typed: Collection[str]) -> list[str]:
    """Put its upstream before what is typed: by a name without one the cache understands Docker Hub."""
    if not typed:
        return images
    table = upstreams_of(api)

    def named(image: str) -> str:
        name = parse_image(image).name
        meant = resolve_named(name, table)
        return f"{meant}{image.removeprefix(name)}" if isinstance(meant, Repository) else image

    return [named(image) if image in typed else image for image in images]


def _watch(api: ApiClient, number: int) -> dict[str, Any]:
    """Show how far it is until it has ended."""
    showing = drawing().showing_warm() if sys.stderr.isatty() else nullcontext(_show_nothing)
    try:
        with showing as show:
            return _await_end(api, number, show)
    except KeyboardInterrupt:
        click.echo(f"the cache goes on with warm {number}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


def _show_nothing(_description: str, _done: int, _size: int | None) -> None:
    """Have no bar where nobody looks."""


def _await_end(api: ApiClient, number: int, show: Callable[[str, int, int | None], None]) -> dict[str, Any]:
    warm: dict[str, Any] = {}
    for _ in looks(_SECONDS_BETWEEN_LOOKS):
        warm = api.call("GET", f"/warms/{number}")
        if warm["state"] != "running":
            break
        show(_description(warm), warm["done"], warm["size"] or None)
    return warm


def _description(warm: dict[str, Any]) -> str:
    failed = f", {warm['failed']} failed" if warm["failed"] else ""
    paused = f", paused for {warm['paused_seconds']:.0f} s" if warm["paused_seconds"] else ""
    return f"{warm['warmed']} of {warm['images']} images{failed}{paused}"


def _tell(warm: dict[str, Any]) -> None:
    for failure in warm.get("failures", ()):
        click.echo(f"failed: {failure['image']}: {failure['reason']}", err=True)
    if warm["state"] == "running":
        click.echo(f"warm {warm['id']} has begun")
    elif warm["state"] == "done" and not warm["images"]:
        click.echo(f"warm {warm['id']} done: no tag matches, nothing is fetched", err=True)
    else:
        unsigned = f", {warm['unsigned']} are not signed" if warm["unsigned"] else ""
        click.echo(
            f"warm {warm['id']} {warm['state']}: {warm['warmed']} of {warm['images']} images are there,"
            f" {warm['failed']} failed{unsigned}"
        )
