"""What a request asks of the registry API, read from its method and path (distribution-spec, "Endpoints").

A repository may be called ``manifests/blobs/tags``, so paths are matched from the right,
where the specification leaves no freedom.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from entrepot.oci.codes import ErrorCode
from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.oci.reference import (
    HOST,
    InvalidName,
    InvalidReference,
    Reference,
    check_hosted_name,
    parse_reference,
)

__all__ = [
    "Base",
    "BlobRoute",
    "CatalogRoute",
    "Malformed",
    "ManifestRoute",
    "NotRegistry",
    "ReferrersRoute",
    "Route",
    "TagsRoute",
    "Unsupported",
    "parse_route",
]

# A host is never "v2": looking ahead spares the usual path the search for one.
_API = re.compile(rf"(?:/(?!v2/)({HOST}))?/v2(?:/(.*))?", re.DOTALL)
_ENCODED_SLASH = re.compile(rb"%2[fF]")
_SHOWN_LENGTH = 80


class Base(Struct, frozen=True, gc=False):
    """``/v2/``, where clients learn whether the protocol is spoken here."""

    host: str | None = None


class ManifestRoute(Struct, frozen=True, gc=False):
    """``name`` may begin with a host; ``host`` is the one before ``/v2``, if any.  So in all routes."""

    name: str
    reference: Reference
    host: str | None = None


class BlobRoute(Struct, frozen=True, gc=False):
    name: str
    digest: Digest
    host: str | None = None


class TagsRoute(Struct, frozen=True, gc=False):
    name: str
    host: str | None = None


class ReferrersRoute(Struct, frozen=True, gc=False):
    name: str
    digest: Digest
    host: str | None = None


class CatalogRoute(Struct, frozen=True, gc=False):
    host: str | None = None


class Unsupported(Struct, frozen=True, gc=False):
    """A push, a deletion, an upload: what a cache does not do."""


class Malformed(Struct, frozen=True, gc=False):
    """Under ``/v2``, but nothing that can be; ``detail`` is for a person to read."""

    code: ErrorCode
    detail: str


class NotRegistry(Struct, frozen=True, gc=False):
    """Not the registry API at all."""


Route = (
    ManifestRoute
    | BlobRoute
    | TagsRoute
    | ReferrersRoute
    | CatalogRoute
    | Base
    | Unsupported
    | Malformed
    | NotRegistry
)


def parse_route(method: str, raw_path: bytes) -> Route:
    """Read a request's method and its path, percent-encoded as it came and without the query.

    Whatever the bytes, the answer is a route: nothing is raised.
    """
    path = _decode(raw_path)
    api = _API.fullmatch(path)
    if api is None:
        return NotRegistry()
    if method not in {"GET", "HEAD"}:
        return Unsupported()
    host, rest = api.groups()
    if not rest:
        return Base(host)
    if rest == "_catalog":
        return CatalogRoute(host)
    return _parse_repository_route(rest, host)


def _decode(raw_path: bytes) -> str:
    """Decode once.  An encoded slash is no separator: it becomes a NUL, which no name may hold either."""
    if b"%" in raw_path:
        raw_path = unquote_to_bytes(_ENCODED_SLASH.sub(b"%00", raw_path))
    return raw_path.decode("latin-1")


def _parse_repository_route(rest: str, host: str | None) -> Route:  # noqa: PLR0911 - one return per route reads as the table it is.
    front, _, last = rest.rpartition("/")
    name, _, kind = front.rpartition("/")
    try:
        match kind:
            case "manifests":
                return ManifestRoute(check_hosted_name(name), parse_reference(last), host)
            case "blobs":
                return BlobRoute(check_hosted_name(name), Digest.parse(last), host)
            case "referrers":
                return ReferrersRoute(check_hosted_name(name), Digest.parse(last), host)
            case "tags" if last == "list":
                return TagsRoute(check_hosted_name(name), host)
            case "uploads" if name.endswith("/blobs"):
                return Unsupported()
            case _:
                check_hosted_name(rest)
    except InvalidName as invalid:
        return Malformed(ErrorCode.NAME_INVALID, f"no repository can be called {_shown(str(invalid))}")
    except InvalidDigest:
        return Malformed(ErrorCode.DIGEST_INVALID, f"{_shown(last)} is no sha256 or sha512 digest")
    except InvalidReference:
        return Malformed(ErrorCode.MANIFEST_INVALID, f"{_shown(last)} is neither a tag nor a digest")
    return Malformed(ErrorCode.NAME_UNKNOWN, f"nothing is served at {_shown(rest)}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}...")
