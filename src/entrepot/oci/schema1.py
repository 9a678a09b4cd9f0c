"""Docker's oldest manifests, which are named by what is signed of them (distribution, "Schema 1")."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode

import msgspec

from entrepot.oci.digest import Digest

__all__ = ["name_of", "names_manifest"]


class _Signature(msgspec.Struct):
    protected: str


class _Signed(msgspec.Struct):
    signatures: list[_Signature]


class _Protected(msgspec.Struct):
    length: int = msgspec.field(name="formatLength")
    tail: str = msgspec.field(name="formatTail")


class _Versioned(msgspec.Struct):
    version: int = msgspec.field(name="schemaVersion")


def names_manifest(digest: Digest, content: bytes) -> bool:
    """Tell whether a manifest is what ``digest`` stands for: the whole, or what is signed of schema 1."""
    if digest.names(content):
        return True
    signed = _signed_part(content)
    return signed is not None and digest.names(signed)


def name_of(content: bytes) -> Digest:
    """Return the digest that registries give a manifest: of what is signed, where it is signed of schema 1.

    Signatures may be made anew for each answer, so that the whole has another digest each time.
    """
    return Digest.of(_signed_part(content) or content)


def _signed_part(content: bytes) -> bytes | None:
    """Return what the first signature is of: a beginning of the content, and an end of its own.

    Nothing for all but schema 1, lest what follows that beginning be believed of newer manifests,
    whose readers take it for a part of them.
    """
    try:
        protected = msgspec.json.decode(content, type=_Signed).signatures[0].protected
        form = msgspec.json.decode(_decode(protected), type=_Protected)
        part = content[: max(form.length, 0)] + _decode(form.tail)
        version = msgspec.json.decode(part, type=_Versioned).version
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, IndexError, binascii.Error, ValueError):
        return None
    return part if version == 1 else None


def _decode(text: str) -> bytes:
    """Read base64url, whose padding signatures leave out (RFC 7515, section 2)."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
