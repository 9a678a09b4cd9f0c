"""The forms of text that requests hold, each with the words for it: a pattern tells people nothing."""

from __future__ import annotations

from entrepot.oci import reference as names
from entrepot.oci.digest import DIGEST as _DIGEST
from entrepot.oci.image_reference import IMAGE as _IMAGE

__all__ = ["DIGEST", "IMAGE", "PLATFORM", "REFERENCE", "REPOSITORY", "TAG", "WORDS"]

REPOSITORY = rf"^(?:{names.HOST}/)?{names.NAME}$"
TAG = f"^{names.TAG}$"
DIGEST = f"^(?:{_DIGEST})$"
REFERENCE = f"^(?:{names.TAG}|{_DIGEST})$"
IMAGE = f"^{_IMAGE}$"
PLATFORM = r"^[a-z0-9_.-]+/[a-z0-9_.-]+(?:/[a-z0-9_.-]+)?$"

WORDS = {
    REPOSITORY: "a repository, as docker.io/library/alpine",
    TAG: "a tag, as 3.20 or latest",
    DIGEST: "a digest: sha256: and 64 hexadecimal digits, or sha512: and 128",
    REFERENCE: "a tag, or a digest: sha256: and 64 hexadecimal digits",
    IMAGE: "an image, as alpine:3.20, ghcr.io/owner/name:1.* or name@sha256:...",
    PLATFORM: "a platform, as linux/amd64 or linux/arm64/v8",
}
