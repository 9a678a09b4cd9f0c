"""What is to be warmed: which repositories of an upstream, and which of their tags."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from msgspec import Struct

from entrepot.oci.digest import Digest
from entrepot.oci.image_reference import ImageReference
from entrepot.oci.reference import Repository
from entrepot.oci.referrers import is_attachment_tag
from entrepot.policy.routing import (
    DOCKER_HUB,
    NameInvalid,
    NoSuchUpstream,
    UpstreamTable,
    resolve,
    resolve_named,
    split_upstream,
)
from entrepot.policy.versions import parse_range, parse_version

__all__ = ["Wanted", "choose_repositories", "choose_tags", "is_pattern", "locate"]

_WILD = frozenset("*?[")


class Wanted(Struct, frozen=True, omit_defaults=True):
    """``repository`` and ``tags`` are names or shell patterns, ``tag_regex`` and ``semver`` are checked.

    A tag is chosen that one of ``tags`` matches, none of ``exclude`` does, and the whole of which
    ``tag_regex`` and ``semver`` take.  What is not given takes every tag; a ``digest`` needs none.
    Tags that hold signatures of images are no images.
    """

    upstream: str
    repository: str
    tags: tuple[str, ...] = ()
    tag_regex: str | None = None
    semver: str | None = None
    exclude: tuple[str, ...] = ()
    digest: Digest | None = None

    def __str__(self) -> str:
        reference = f"@{self.digest}" if self.digest is not None else ":" + ",".join(self.tags or ("*",))
        return f"{self.upstream}/{self.repository}{reference}"

    @property
    def needs_tags(self) -> bool:
        """Tell whether the upstream has to be asked which tags there are."""
        filters = (self.tag_regex, self.semver, *self.exclude)
        return self.digest is None and (
            not self.tags or any(filters) or any(is_pattern(tag) for tag in self.tags)
        )


def is_pattern(text: str) -> bool:
    return not _WILD.isdisjoint(text)


def choose_repositories(wanted: Wanted, names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if fnmatchcase(name, wanted.repository)})


def choose_tags(wanted: Wanted, tags: Iterable[str]) -> list[str]:
    """Return the tags that are wanted, in their order; the patterns must have been checked."""
    regex = re.compile(wanted.tag_regex) if wanted.tag_regex is not None else None
    versions = parse_range(wanted.semver) if wanted.semver is not None else None

    def is_wanted(tag: str) -> bool:
        version = parse_version(tag) if versions is not None else None
        return (
            (not wanted.tags or _matches(tag, wanted.tags))
            and not is_attachment_tag(tag)
            and not _matches(tag, wanted.exclude)
            and (regex is None or regex.fullmatch(tag) is not None)
            and (versions is None or (version is not None and versions.takes(version)))
        )

    return [tag for tag in tags if is_wanted(tag)]


def locate(image: ImageReference, table: UpstreamTable) -> Wanted | NameInvalid:
    """Find the upstream that an image means: without one, Docker Hub, where it is one of the upstreams.

    Workloads mean Docker Hub by short names, whatever the default upstream of requests is.  A host
    that is no upstream is kept: whoever brings the image says so.
    """
    named, rest = split_upstream(image.name, table)
    hub = table.names.get(DOCKER_HUB)
    is_hub = named is None and hub is not None
    found = resolve(hub, None, None, image.name, table) if is_hub else resolve_named(image.name, table)
    if isinstance(found, NameInvalid):
        return found
    repository = Repository(found.host, rest) if isinstance(found, NoSuchUpstream) else found
    tags = () if image.digest is not None else (image.tag,)
    return Wanted(repository.upstream, repository.name, tags, digest=image.digest)


def _matches(tag: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(tag, pattern) for pattern in patterns)
