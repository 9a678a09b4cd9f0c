"""Which content is meant by the name of an image whose repository and tag may be patterns."""

from __future__ import annotations

import click
from msgspec import Struct

from entrepot.cli.api_client import ApiClient, NotDone
from entrepot.policy.routing import DOCKER_HUB, NoSuchUpstream, UpstreamTable, split_upstream
from entrepot.policy.wanted import is_pattern

__all__ = ["Selected", "select", "split_tag", "upstreams_of"]


class Selected(Struct, frozen=True):
    """``tags`` is ``None`` where the whole repositories are meant."""

    upstream: str
    repositories: str
    tags: str | None


def select(api: ApiClient, image: str, upstream: str | None = None) -> Selected:
    """Find the upstream that an image means, unless it is given.

    Raises ``click.UsageError``, and ``NotDone`` for no upstream of the cache.
    """
    name, tags = split_tag(image)
    table = upstreams_of(api)
    if upstream is None:
        upstream, name = split_upstream(name, table)
    known = table.named(upstream or table.default)
    if isinstance(known, NoSuchUpstream):
        names = dict.fromkeys(table.names.values())
        raise NotDone(f"{known.host} is not an upstream of this cache: {', '.join(names)}")
    if known == DOCKER_HUB and "/" not in name and not is_pattern(name):
        name = f"library/{name}"
    return Selected(known, name, tags)


def upstreams_of(api: ApiClient) -> UpstreamTable:
    """Ask a cache for its upstreams."""
    settings = api.call("GET", "/settings")
    return UpstreamTable.build(settings["upstreams"], {}, settings["default_upstream"])


def split_tag(image: str) -> tuple[str, str | None]:
    """Cut off the tag: what follows the last colon, unless a slash says that it was a port's."""
    if "@" in image:
        raise click.UsageError(f"expected a tag or a pattern of tags, found the digest of {image!r}")
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, None)
