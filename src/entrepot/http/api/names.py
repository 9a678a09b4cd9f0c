"""Names in requests, read once: repositories, references, digests.

A repository is given as ``upstream/name`` in a query parameter, never in the path: it holds slashes,
and what proxies do with an encoded slash in a path differs from one to the next.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from litestar.params import PathParameter, QueryParameter

from entrepot.engine.sites import Sites
from entrepot.http.api import forms
from entrepot.http.api.faults import Fault, found
from entrepot.http.api.parameters import Malformed
from entrepot.oci.digest import Digest, InvalidDigest
from entrepot.oci.reference import (
    InvalidReference,
    Reference,
    Repository,
    parse_reference,
)
from entrepot.policy.routing import NameInvalid, NoSuchUpstream, resolve_named

__all__ = [
    "AnyRepositoryText",
    "DigestText",
    "ReferenceText",
    "RepositoryText",
    "TagText",
    "moment",
    "read_digest",
    "read_reference",
    "read_repository",
]

_REPOSITORY = QueryParameter(
    max_length=240,
    description="The repository, its upstream before its name: `docker.io/library/alpine`.",
    pattern=forms.REPOSITORY,
)
RepositoryText = Annotated[str, _REPOSITORY]
AnyRepositoryText = Annotated[str | None, _REPOSITORY]
DigestText = Annotated[str, PathParameter(pattern=forms.DIGEST)]
TagText = Annotated[str, PathParameter(pattern=forms.TAG)]
ReferenceText = Annotated[str, PathParameter(pattern=forms.REFERENCE, description="A tag or a digest.")]


def read_repository(text: str, sites: Sites) -> Repository:
    """Find the repository that is meant: ``alpine`` is one of the default upstream.

    Raises ``Malformed`` and ``UnknownUpstream``.
    """
    repository = resolve_named(text, sites.table)
    match repository:
        case Repository():
            return repository
        case NoSuchUpstream(unknown):
            raise sites.unknown(unknown)
        case NameInvalid(invalid):
            raise _malformed(forms.REPOSITORY, invalid, "repository")


def read_reference(text: str) -> Reference:
    try:
        return parse_reference(text)
    except (InvalidDigest, InvalidReference) as invalid:
        raise _malformed(forms.REFERENCE, text, "reference") from invalid


def read_digest(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidDigest as invalid:
        raise _malformed(forms.DIGEST, text, "digest") from invalid


def moment(seconds: float) -> datetime:
    """Write epoch seconds as the API does."""
    return datetime.fromtimestamp(seconds, UTC)


def _malformed(form: str, text: str, key: str) -> Malformed:
    return Malformed(Fault(f"expected {forms.WORDS[form]}, {found(text)}", key))
