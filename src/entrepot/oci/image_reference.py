"""Images as people name them: ``alpine``, ``ghcr.io/owner/name:tag``, ``name@sha256:...``."""

from __future__ import annotations

import re

from msgspec import Struct

from entrepot.oci.digest import DIGEST, Digest, InvalidDigest
from entrepot.oci.reference import (
    HOST,
    NAME,
    TAG,
    InvalidName,
    InvalidReference,
    check_hosted_name,
    parse_reference,
)

__all__ = ["DEFAULT_TAG", "IMAGE", "ImageReference", "InvalidImage", "parse_image"]

DEFAULT_TAG = "latest"
_WILD_TAG = r"[A-Za-z0-9_.!-]*[*?\[][A-Za-z0-9_.*?\[\]!-]*"
_TAG_PATTERN = re.compile(_WILD_TAG)

IMAGE = rf"(?:{HOST}/)?{NAME}(?::(?:{TAG}|{_WILD_TAG}))?(?:@(?:{DIGEST}))?"
"""The pattern of what ``parse_image`` reads, but for its length."""


class InvalidImage(ValueError):
    """The text names no image; the message says why."""


class ImageReference(Struct, frozen=True):
    """``name`` may begin with a host.  ``tag`` may be a shell pattern; beside a digest it says nothing."""

    name: str
    tag: str = DEFAULT_TAG
    digest: Digest | None = None


def parse_image(text: str) -> ImageReference:
    """Read ``[HOST/]NAME[:TAG][@DIGEST]``, the tag a name or a pattern; raise ``InvalidImage``."""
    named, _, digest = text.partition("@")
    # What follows the last colon is a tag, unless a slash says that the colon was of a host's port.
    name, colon, tag = named.rpartition(":")
    if not colon or "/" in tag:
        name, tag = named, DEFAULT_TAG
    try:
        check_hosted_name(name)
        if _TAG_PATTERN.fullmatch(tag) is None:
            parse_reference(tag)
        return ImageReference(name, tag, Digest.parse(digest) if "@" in text else None)
    except InvalidName:
        raise InvalidImage(f"{text!r} names no image: {name!r} is no repository's name") from None
    except InvalidReference:
        raise InvalidImage(f"{text!r} names no image: {tag!r} is no tag") from None
    except InvalidDigest:
        raise InvalidImage(f"{text!r} names no image: {digest!r} is no sha256 or sha512 digest") from None
