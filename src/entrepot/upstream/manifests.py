"""Manifests of one endpoint: asked for in full, verified before they are believed."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from entrepot.errors import ManifestNotHere, NotHere, Refused, UpstreamDown, WrongContent
from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.oci.media_type import ACCEPT
from entrepot.oci.reference import Reference, Tag
from entrepot.oci.schema1 import name_of, names_manifest
from entrepot.ports.upstream import FetchedManifest, ManifestHead
from entrepot.upstream.answers import content_length
from entrepot.upstream.bodies import is_zipped, read_start, read_whole
from entrepot.upstream.client import Client, Wish
from entrepot.upstream.endpoint import Endpoint

__all__ = ["get_manifest", "head_manifest"]

_KIND = "manifest"
_LARGEST = 8 << 20
_UNTYPED = "application/octet-stream"


class _Typed(msgspec.Struct):
    media_type: str = msgspec.field(default=_UNTYPED, name="mediaType")


async def head_manifest(
    client: Client, endpoint: Endpoint, repository: str, reference: Reference
) -> ManifestHead:
    """Ask by HEAD or, where that is known or found to be of no use, by GET.

    public.ecr.aws answers HEAD with 401 and a Harbor cache with 404 for what GET can read.
    """
    if endpoint.trusts_head(_KIND):
        try:
            head = await _head(client, endpoint, _wish(repository, reference, "HEAD"), reference)
        except (NotHere, Refused):
            head = None
        if head is not None and head.digest is not None:
            return head
    head = await _head(client, endpoint, _wish(repository, reference, "GET"), reference)
    endpoint.distrust_head(_KIND)
    if head.digest is None:
        fetched = await get_manifest(client, endpoint, repository, reference)
        head = ManifestHead(fetched.digest, fetched.media_type, len(fetched.content))
    return head


async def get_manifest(
    client: Client, endpoint: Endpoint, repository: str, reference: Reference
) -> FetchedManifest:
    wish = _wish(repository, reference, "GET")
    async with client.open(endpoint, wish) as response:
        content = await read_whole(response, _LARGEST, f"{wish} at {endpoint.host}")
    client.observer.received(_KIND, len(content))
    media_type = _told_type(response.headers)
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity" and not is_zipped(response.headers):
        raise UpstreamDown(f"{wish} at {endpoint.host} came encoded as {encoding!r}, which nobody asked for")
    if isinstance(reference, Tag):
        digest = _told_digest(response.headers) or _own_digest(response.headers, content, wish, endpoint)
        if not content or (media_type or "").startswith("text/html"):
            raise UpstreamDown(
                f"{wish} at {endpoint.host} is a page for people, not a manifest; is there a login?"
            )
    else:
        digest = reference
    if not names_manifest(digest, content):
        raise WrongContent(f"{wish} at {endpoint.host}: the {len(content)} bytes sent are not {digest}")
    return FetchedManifest(digest, media_type or _own_type(content), content)


def _wish(repository: str, reference: Reference, method: str) -> Wish:
    return Wish(repository, f"manifests/{reference}", _KIND, ManifestNotHere, method, {"Accept": ACCEPT})


async def _head(client: Client, endpoint: Endpoint, wish: Wish, reference: Reference) -> ManifestHead:
    async with client.open(endpoint, wish) as response:
        await read_start(response)
    headers = response.headers
    digest = _told_digest(headers) if isinstance(reference, Tag) else reference
    return ManifestHead(digest, _told_type(headers), content_length(headers))


def _told_type(headers: Mapping[str, str]) -> str | None:
    """Return the media type if it is one that can be passed on: RFC 9110 has no others than ASCII's."""
    told = headers.get("content-type", "")
    return told if told and told.isascii() and told.isprintable() else None


def _told_digest(headers: Mapping[str, str]) -> Digest | None:
    try:
        return Digest.parse(headers.get("docker-content-digest", ""))
    except InvalidDigest:
        return None


def _own_digest(headers: Mapping[str, str], content: bytes, wish: Wish, endpoint: Endpoint) -> Digest:
    """Name the content by itself, if something tells that it is whole: its length, or else its form."""
    if not {"content-length", "transfer-encoding"} & headers.keys() and not _is_json(content):
        raise UpstreamDown(f"{wish} at {endpoint.host} came without a length and may be cut short")
    return name_of(content)


def _is_json(content: bytes) -> bool:
    try:
        msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _own_type(content: bytes) -> str:
    """Return the media type a manifest says of itself, for a registry that says none."""
    try:
        return msgspec.json.decode(content, type=_Typed).media_type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _UNTYPED
