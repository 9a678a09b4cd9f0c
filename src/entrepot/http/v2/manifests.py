"""GET and HEAD /v2/<name>/manifests/<reference>."""

from __future__ import annotations

from entrepot.engine.manifests import Manifests
from entrepot.http.call import Call
from entrepot.http.v2.answers import content_headers, stale_headers
from entrepot.oci.conditional import etag_matches
from entrepot.oci.reference import Reference, Repository

__all__ = ["get_manifest"]


async def get_manifest(
    call: Call, repository: Repository, reference: Reference, manifests: Manifests
) -> None:
    """Answer with the manifest as it came, whatever the client says it accepts."""
    answer = await manifests.pull(repository, reference)
    manifest = answer.value
    call.cache = answer.cache
    headers = content_headers(call, manifest.digest, manifest.media_type) + stale_headers(answer.age)
    if_none_match = call.header(b"if-none-match")
    if if_none_match is not None and etag_matches(if_none_match, f'"{manifest.digest}"'):
        await call.reply_not_modified(headers)
    else:
        await call.reply(200, headers, manifest.content)
