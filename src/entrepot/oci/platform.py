"""Platforms: what an index's manifests are for (image-spec, "Image Index Property Descriptions")."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from msgspec import Struct

__all__ = ["InvalidPlatform", "Platform", "parse_platform", "platform_of", "takes"]

_FORM = re.compile(r"([a-z0-9_.-]+)/([a-z0-9_.-]+)(?:/([a-z0-9_.-]+))?")
_USUAL_VARIANTS = {("arm64", "v8"), ("amd64", "v1")}


class InvalidPlatform(ValueError):
    """The text names no platform."""


class Platform(Struct, frozen=True):
    """``variant`` is empty where none is told, and for the one that is usual: ``arm64/v8``, ``amd64/v1``."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


def parse_platform(text: str) -> Platform:
    """Read ``OS/ARCHITECTURE[/VARIANT]``; raise ``InvalidPlatform``."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidPlatform("expected a platform such as linux/amd64 or linux/arm64/v8")
    return _usual(match[1], match[2], match[3] or "")


def platform_of(member: Any) -> Platform | None:
    """Read a descriptor's ``platform``; what is none, or names no system, is nothing."""
    if not isinstance(member, dict):
        return None
    system, architecture, variant = (member.get(name) for name in ("os", "architecture", "variant"))
    if not isinstance(system, str) or not isinstance(architecture, str):
        return None
    return _usual(system, architecture, variant if isinstance(variant, str) else "")


def takes(chosen: Collection[Platform], platform: Platform | None) -> bool:
    """Tell whether a manifest is wanted by who chose platforms; who chose none wants all.

    A manifest that tells no platform may be for any.  One without a variant chosen, each of them is.
    """
    if not chosen or platform is None:
        return True
    return platform in chosen or Platform(platform.os, platform.architecture) in chosen


def _usual(system: str, architecture: str, variant: str) -> Platform:
    return Platform(system, architecture, "" if (architecture, variant) in _USUAL_VARIANTS else variant)
