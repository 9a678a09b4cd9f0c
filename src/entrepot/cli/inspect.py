"""``entrepot inspect``: what a cached image is made of."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

import click

from entrepot.cli.api_client import ApiClient, NotDone
from entrepot.cli.image_names import image_argument, reference_of
from entrepot.cli.options import api_options, json_option
from entrepot.cli.tables import clean, print_json, print_pairs, print_table, size
from entrepot.oci.image_reference import ImageReference

__all__ = ["command"]

_CACHED = {"all": "cached", "part": "cached in part", "none": "not cached"}


@click.command()
@api_options
@click.option("--platform", metavar="OS/ARCH", help="Look into the image for this platform, as linux/arm64.")
@json_option
@image_argument
def command(*, api: ApiClient, platform: str | None, as_json: bool, image: ImageReference) -> None:
    """Look into a cached image: platforms, layers, config, history, annotations, and what refers to it.

    An IMAGE is named as in a pull, or as it is listed; without an upstream, it is of the default one.

    Exit codes: 0 done; 1 it is not cached; 2 wrong usage, or no cache to call.
    """
    manifest = _manifest(api, image.name, reference_of(image))
    if platform is not None and not _is_for(platform, manifest["image"]):
        manifest = _manifest(api, image.name, _digest_for(platform, manifest))
    referrers = _referrers(api, manifest)
    if as_json:
        print_json({**manifest, "referrers": referrers})
        return
    sections: tuple[Callable[[], None], ...] = (
        lambda: _print_contents("platforms", manifest["platforms"], _of_platform),
        lambda: _print_contents("layers", manifest["layers"], _of_content),
        lambda: _print_image(manifest["image"]),
        lambda: _print_named("annotations", manifest["annotations"]),
        lambda: _print_contents("referrers", referrers or [], _of_content),
    )
    _print_head(manifest)
    for section in sections:
        section()


def _manifest(api: ApiClient, repository: str, reference: str) -> dict[str, Any]:
    found: dict[str, Any] = api.call("GET", f"/manifests/{reference}", query={"repository": repository})
    return found


def _digest_for(platform: str, manifest: Mapping[str, Any]) -> str:
    for content in manifest["platforms"]:
        if _is_for(platform, content):
            return str(content["digest"])
    known = ", ".join(_platform(content) for content in manifest["platforms"] or [manifest["image"] or {}])
    raise NotDone(f"there is no {platform} among its platforms: {known}")


def _is_for(platform: str, content: Mapping[str, Any] | None) -> bool:
    return content is not None and platform in (_platform(content), _platform(content).removesuffix("/v8"))


def _referrers(api: ApiClient, manifest: Mapping[str, Any]) -> list[Any] | None:
    """Return ``None`` where the upstream has to be asked, and does not answer."""
    try:
        path, repository = f"/manifests/{manifest['digest']}/referrers", manifest["repository"]
        return list(api.rows(path, {"repository": repository}))
    except NotDone as failed:
        click.echo(f"what refers to it is not known: {failed.message}", err=True)
        return None


def _print_head(manifest: Mapping[str, Any]) -> None:
    click.echo(clean(f"{manifest['repository']}@{manifest['digest']}"))
    config, subject = manifest["config"] or {}, manifest["subject"] or {}
    blobs = [content["size"] for content in (*manifest["layers"], config) if content.get("size") is not None]
    print_pairs(
        {
            "media type": manifest["media_type"],
            "artifact type": manifest["artifact_type"] or "",
            "manifest": size(manifest["size"]),
            "content": size(sum(blobs)) if blobs else "",
            "config": config.get("digest", ""),
            "subject": subject.get("digest", ""),
        }
    )


def _print_contents(title: str, contents: list[Any], row: Callable[[Any], tuple[str, ...]]) -> None:
    if contents:
        click.echo(f"\n{title}")
        rows = [row(content) for content in contents]
        print_table(("DIGEST", "SIZE", "WHAT"), rows, nothing="")


def _of_platform(content: Mapping[str, Any]) -> tuple[str, ...]:
    return content["digest"], size(content.get("size")), f"{_platform(content)}, {_CACHED[content['cached']]}"


def _of_content(content: Mapping[str, Any]) -> tuple[str, ...]:
    what = content.get("artifact_type") or content.get("media_type") or "?"
    return content["digest"], size(content.get("size")), what


def _platform(content: Mapping[str, Any]) -> str:
    told = content.get("platform") or {}
    parts = [told[key] for key in ("os", "architecture", "variant") if told.get(key)]
    return "/".join(parts) or "unknown"


def _print_image(image: Mapping[str, Any] | None) -> None:
    if image is None:
        return
    told = {
        "created": f"{image['created']}" if image.get("created") else "",
        "author": image.get("author") or "",
        "platform": _platform(image) if image.get("platform") else "",
        "user": image.get("user") or "",
        "working dir": image.get("working_dir") or "",
        "entrypoint": shlex.join(image.get("entrypoint", ())),
        "command": shlex.join(image.get("cmd", ())),
        "ports": ", ".join(image.get("exposed_ports", ())),
        "volumes": ", ".join(image.get("volumes", ())),
    }
    _print_named("image", told)
    _print_lines("environment", image.get("env", ()))
    _print_named("labels", image.get("labels", {}))
    _print_lines("history", map(_step, image.get("history", ())))


def _print_named(title: str, named: Mapping[str, str]) -> None:
    if any(named.values()):
        click.echo(f"\n{title}")
        print_pairs(named)


def _print_lines(title: str, lines: Any) -> None:
    for number, line in enumerate(lines):
        if number == 0:
            click.echo(f"\n{title}")
        click.echo(f"  {clean(line)}")


def _step(entry: Mapping[str, Any]) -> str:
    what = entry.get("created_by") or entry.get("comment") or "?"
    return f"{what} (no layer)" if entry.get("empty_layer") else what
