"""Descriptors: what one piece of content says of another (image-spec, "OCI Content Descriptors")."""

from __future__ import annotations

from msgspec import Struct

from entrepot.oci.digest import Digest
from entrepot.oci.platform import Platform

__all__ = ["Descriptor"]


class Descriptor(Struct, frozen=True):
    """``size`` is in bytes; ``None`` where the format tells none (Docker schema 1)."""

    digest: Digest
    size: int | None = None
    media_type: str | None = None
    platform: Platform | None = None
