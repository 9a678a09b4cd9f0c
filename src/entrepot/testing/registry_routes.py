"""What a fake registry would answer if it behaved: the pull side of the distribution-spec."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.testing.registry_content import INDEX_TYPE, RegistryContent
from entrepot.testing.registry_wire import Answer, Request

__all__ = ["Behaviour", "answer", "kind_of", "name_in"]

_V2 = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs|tags|referrers)/(?P<rest>[^/]+)")
_KINDS = {"manifests": "manifest", "blobs": "blob", "tags": "tags", "referrers": "referrers"}
_SIGNATURE = "signature=a%2Fb+c%3d%7E"  # Quoted as some signers do: it must come back letter by letter.
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(slots=True)
class Behaviour:
    """What kind of registry it is, for good; a test may change it while it runs.

    ``path``: put after ``/v2`` in every path, as Harbor's projects are. ``headers``: added to every
    answer under ``/v2/``. ``blob_redirect``: the base URL of a CDN that blobs are fetched from.
    """

    path: str = ""
    ranges: bool = True
    digest_header: bool = True
    demands_accept: bool = False
    referrers_api: bool = False
    catalog: bool = True
    page_size: int = 1000
    blob_redirect: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def kind_of(path: str) -> str:
    if path == "/token":
        return "token"
    if path in ("/v2", "/v2/"):
        return "ping"
    if path.startswith("/cdn/"):
        return "blob"
    if path == "/v2/_catalog":
        return "catalog"
    match = _V2.fullmatch(path)
    return _KINDS[match["kind"]] if match else "other"


def name_in(path: str) -> str | None:
    """Return the repository that a path names, ``Behaviour.path`` included: what its scope says, too."""
    match = _V2.fullmatch(path)
    return match["name"] if match else None


def answer(request: Request, content: RegistryContent, behaviour: Behaviour, *, ranges: bool) -> Answer:
    """Answer anything but the token service; ``ranges`` says whether Range is honoured this time."""
    name = name_in(request.path)
    if request.method not in ("GET", "HEAD"):
        found = _error(405, "UNSUPPORTED")
    elif request.kind == "ping":
        found = _json({}, behaviour)
    elif request.path.startswith("/cdn/"):
        found = _cdn(request, content, ranges=ranges)
    elif request.kind == "catalog" and behaviour.catalog:
        path = f"{behaviour.path.strip('/')}/" if behaviour.path else ""
        items = [f"{path}{name}" for name in content.repositories()]
        items = [item for item in items if item > request.query.get("last", "")]
        found = _page(request, behaviour, items, lambda page: {"repositories": page})
    elif name is None:
        found = _error(404, "UNSUPPORTED")
    else:
        repository = name.removeprefix(behaviour.path.strip("/")).lstrip("/")
        found = _of_repository(request, content, behaviour, repository, ranges=ranges)
    return found


def _of_repository(
    request: Request, content: RegistryContent, behaviour: Behaviour, repository: str, *, ranges: bool
) -> Answer:
    if not content.has_repository(repository):
        return _error(404, "NAME_UNKNOWN")
    rest = request.path.rpartition("/")[2]
    match request.kind:
        case "manifest":
            return _manifest(request, content, behaviour, repository, rest)
        case "blob":
            return _blob(request, content, behaviour, repository, ranges=ranges)
        case "tags":
            items = [item for item in content.tags(repository) if item > request.query.get("last", "")]
            return _page(request, behaviour, items, lambda page: {"name": repository, "tags": page})
        case _ if behaviour.referrers_api:
            return _referrers(request, behaviour, content.referrers(repository, rest))
        case _:
            return _error(404, "UNSUPPORTED")


def _manifest(
    request: Request, content: RegistryContent, behaviour: Behaviour, repository: str, reference: str
) -> Answer:
    found = content.manifest(repository, reference)
    if found is None:
        return _error(404, "MANIFEST_UNKNOWN")
    digest, manifest = found
    if behaviour.demands_accept and manifest.media_type not in request.headers.get("accept", ""):
        return _error(404, "MANIFEST_UNKNOWN")
    headers = {"Content-Type": manifest.media_type, **behaviour.headers}
    if behaviour.digest_header:
        headers["Docker-Content-Digest"] = str(digest)
    return Answer(200, headers, manifest.content)


def _blob(
    request: Request, content: RegistryContent, behaviour: Behaviour, repository: str, *, ranges: bool
) -> Answer:
    try:
        digest = Digest.parse(request.path.rpartition("/")[2])
    except InvalidDigest:
        return _error(400, "DIGEST_INVALID")
    body = content.blob(repository, digest)
    if body is None:
        return _error(404, "BLOB_UNKNOWN")
    if behaviour.blob_redirect is not None:
        location = f"{behaviour.blob_redirect}/cdn/{digest}?{_SIGNATURE}"
        return Answer(307, {"Location": location, **behaviour.headers})
    headers = {"Docker-Content-Digest": str(digest)} if behaviour.digest_header else {}
    return _ranged(request, Answer(200, {**headers, **behaviour.headers}, body), ranges=ranges)


def _cdn(request: Request, content: RegistryContent, *, ranges: bool) -> Answer:
    """Serve any blob to whoever has the signature, and refuse whoever brings a credential, as S3 does."""
    if "authorization" in request.headers or not request.target.endswith(f"?{_SIGNATURE}"):
        return Answer(400)
    body = content.blob_anywhere(Digest.parse(request.path.rpartition("/")[2]))
    return Answer(404) if body is None else _ranged(request, Answer(200, {}, body), ranges=ranges)


def _ranged(request: Request, whole: Answer, *, ranges: bool) -> Answer:
    headers = {"Content-Type": "application/octet-stream", **whole.headers}
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if not ranges or match is None:
        return Answer(200, headers, whole.body)
    size = len(whole.body)
    first, last = match[1], match[2]
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= stop:
        return Answer(416, {"Content-Range": f"bytes */{size}"})
    headers |= {"Content-Range": f"bytes {start}-{stop - 1}/{size}", "Accept-Ranges": "bytes"}
    return Answer(206, headers, memoryview(whole.body)[start:stop])


def _page(request: Request, behaviour: Behaviour, items: list[str], document: Any) -> Answer:
    count = min(int(request.query.get("n", behaviour.page_size)), behaviour.page_size)
    page, more = items[:count], items[count:]
    found = _json(document(page), behaviour)
    if not more:
        return found
    link = f'<{request.path}?{urlencode({"n": count, "last": page[-1]})}>; rel="next"'
    return Answer(200, {**found.headers, "Link": link}, found.body)


def _referrers(request: Request, behaviour: Behaviour, descriptors: list[dict[str, Any]]) -> Answer:
    start = int(request.query.get("from", "0"))
    stop = start + behaviour.page_size
    document = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": descriptors[start:stop]}
    headers = {"Content-Type": INDEX_TYPE, **behaviour.headers}
    if stop < len(descriptors):
        headers["Link"] = f'<{request.path}?from={stop}>; rel="next"'
    return Answer(200, headers, json.dumps(document).encode())


def _json(document: Any, behaviour: Behaviour) -> Answer:
    headers = {"Content-Type": "application/json", **behaviour.headers}
    return Answer(200, headers, json.dumps(document).encode())


def _error(status: int, code: str) -> Answer:
    body = json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
    return Answer(status, {"Content-Type": "application/json"}, body)
