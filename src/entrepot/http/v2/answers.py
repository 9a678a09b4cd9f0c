"""Headers that the answers of several handlers share."""

from __future__ import annotations

from functools import lru_cache

from entrepot.http.call import API_VERSION, Call
from entrepot.http.server.asgi import Headers
from entrepot.oci.digest import Digest

__all__ = ["base_headers", "content_headers", "namespace_headers", "stale_headers"]


def base_headers(call: Call) -> Headers:
    """Name the protocol, and the namespace where the client named it (distribution-spec, "ns")."""
    return _base_headers(call.query("ns"))


def namespace_headers(call: Call) -> Headers:
    """Name the namespace alone, for an answer that names the protocol already."""
    return _base_headers(call.query("ns"))[1:]


def content_headers(call: Call, digest: Digest, media_type: str) -> Headers:
    return [*_content_headers(digest, media_type, call.query("ns"))]


def stale_headers(age: float | None) -> Headers:
    """Say of a stale answer, ``age`` seconds old, that it was not confirmed (RFC 7234, 5.5 and 5.1)."""
    if age is None:
        return []
    return [
        (b"warning", b'299 entrepot "served from the cache, not confirmed by the upstream"'),
        (b"age", str(int(age)).encode()),
    ]


def _base_headers(namespace: str | None) -> Headers:
    return [API_VERSION, (b"oci-namespace", namespace.encode())] if namespace else [API_VERSION]


@lru_cache(maxsize=4096)
def _content_headers(digest: Digest, media_type: str, namespace: str | None) -> Headers:
    name = str(digest).encode()
    return [
        (b"content-type", media_type.encode("latin-1")),
        (b"docker-content-digest", name),
        (b"etag", b'"' + name + b'"'),
        *_base_headers(namespace),
    ]
