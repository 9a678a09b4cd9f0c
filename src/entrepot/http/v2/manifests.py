"""GET and HEAD /v2/<name>/manifests/<reference>."""

from __future__ import annotations

from functools import partial

from entrepot.engine.manifests import Manifests
from entrepot.http.call import Again, Call
from entrepot.http.v2.answers import content_headers, stale_headers
from entrepot.http.v2.destinations import ReadyManifest, ToRepository
from entrepot.oci.conditional import etag_matches
from entrepot.oci.reference import Reference

__all__ = ["get_manifest"]

_LARGEST_READY = 16 << 10


async def get_manifest(
    call: Call, destination: ToRepository, reference: Reference, manifests: Manifests
) -> None:
    """Answer with the manifest as it came, whatever the client says it accepts."""
    ready, generation = destination.ready, manifests.generation
    if ready is None or not manifests.still_holds(ready.answer, ready.generation):
        answer = await manifests.pull(destination.repository, reference)
        manifest = answer.value
        headers = content_headers(call, manifest.digest, manifest.media_type) + stale_headers(answer.age)
        ready = ReadyManifest(answer, str(manifest.digest), headers, generation)
        destination.ready = ready if answer.until and len(manifest.content) <= _LARGEST_READY else None
    call.cache = ready.answer.cache
    manifest = ready.answer.value
    call.digest = ready.digest
    if_none_match = call.header(b"if-none-match")
    if if_none_match is not None and etag_matches(if_none_match, f'"{manifest.digest}"'):
        await call.reply_not_modified(ready.headers)
    else:
        await call.reply(200, ready.headers, manifest.content)
        if destination.ready is ready:
            holds = partial(manifests.still_holds, ready.answer, ready.generation)
            call.again = Again(manifest.content, holds)
