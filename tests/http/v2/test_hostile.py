"""Whatever is asked: a 4xx with the envelope of the specification, and nobody is dialled."""

from __future__ import annotations

import pytest
from tests.http.v2.conftest import House

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/../etc/passwd/manifests/latest", 400, "NAME_INVALID"),
        ("/v2/library/../demo/manifests/latest", 400, "NAME_INVALID"),
        ("/v2/library/%2e%2e/demo/manifests/latest", 400, "NAME_INVALID"),
        ("/v2/library/demo%00/manifests/latest", 400, "NAME_INVALID"),
        ("/v2/library%2Fdemo/manifests/latest", 400, "NAME_INVALID"),
        ("/v2/Library/demo/manifests/latest", 400, "NAME_INVALID"),
        (f"/v2/{'a' * 300}/manifests/latest", 400, "NAME_INVALID"),
        ("/v2//manifests/latest", 400, "NAME_INVALID"),
        ("/v2/demo/manifests/" + "x" * 129, 400, "MANIFEST_INVALID"),
        ("/v2/demo/manifests/sha256:beef", 400, "DIGEST_INVALID"),
        ("/v2/demo/blobs/sha256:" + "A" * 64, 400, "DIGEST_INVALID"),
        ("/v2/demo/blobs/md5:" + "a" * 32, 400, "DIGEST_INVALID"),
        ("/v2/demo/referrers/latest", 400, "DIGEST_INVALID"),
        ("/v2/demo/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/demo/tags/list?n=many", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/_catalog?n=0x10", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/demo/manifests/latest?ns=169.254.169.254", 404, "NAME_UNKNOWN"),
        ("/v2/evil.test/demo/manifests/latest", 404, "NAME_UNKNOWN"),
        ("/v2/localhost:22/demo/manifests/latest", 404, "NAME_UNKNOWN"),
        ("/evil.test/v2/demo/manifests/latest", 404, "NAME_UNKNOWN"),
        ("/v2/?ns=evil.test", 404, "NAME_UNKNOWN"),
        ("/v2/_catalog?ns=evil.test", 404, "NAME_UNKNOWN"),
        ("/v2/secret/thing/manifests/latest", 403, "DENIED"),
        ("/v1/search", 404, "NAME_UNKNOWN"),
        ("/", 404, "NAME_UNKNOWN"),
    ],
)
async def test_bad_requests_are_refused(house: House, path: str, status: int, code: str) -> None:
    reply = await house.call(path)
    assert (reply.status, reply.code) == (status, code)
    assert house.upstream.asked == house.other.asked == []


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/v2/demo/manifests/latest", f"/v2/demo/blobs/{DIGEST}", "/v2/demo/blobs/uploads/"]
)
async def test_pushes_and_deletions_are_unsupported(house: House, method: str, path: str) -> None:
    reply = await house.call(path, method)
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "UNSUPPORTED", "GET, HEAD")
