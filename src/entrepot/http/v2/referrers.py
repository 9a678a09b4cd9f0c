"""GET /v2/<name>/referrers/<digest>."""

from __future__ import annotations

from entrepot.engine.listings import Lists
from entrepot.http.call import Call
from entrepot.http.v2.answers import base_headers, stale_headers
from entrepot.oci.digest import Digest
from entrepot.oci.media_type import OCI_INDEX
from entrepot.oci.reference import Repository
from entrepot.oci.referrers import filter_referrers

__all__ = ["list_referrers"]


async def list_referrers(call: Call, repository: Repository, subject: Digest, lists: Lists) -> None:
    answer = await lists.referrers(repository, subject)
    call.cache = answer.cache
    artifact_type = call.query("artifactType")
    headers = [(b"content-type", OCI_INDEX.encode()), *base_headers(call), *stale_headers(answer.age)]
    if artifact_type is not None:
        headers.append((b"oci-filters-applied", b"artifactType"))
    await call.reply(200, headers, filter_referrers(answer.value, artifact_type))
