"""The error codes of the distribution-spec, as one table."""

from __future__ import annotations

from enum import Enum
from http import HTTPStatus

__all__ = ["ErrorCode"]


class ErrorCode(Enum):
    """A row per code: the status it travels with and its fixed message.

    The codes of the specification, and two that it leaves to the implementation but
    every client knows from Distribution: UNAVAILABLE and UNKNOWN.
    """

    BLOB_UNKNOWN = HTTPStatus.NOT_FOUND, "blob unknown to registry"
    DENIED = HTTPStatus.FORBIDDEN, "requested access to the resource is denied"
    DIGEST_INVALID = HTTPStatus.BAD_REQUEST, "provided digest is not valid"
    MANIFEST_INVALID = HTTPStatus.BAD_REQUEST, "manifest reference is not valid"
    MANIFEST_UNKNOWN = HTTPStatus.NOT_FOUND, "manifest unknown to registry"
    NAME_INVALID = HTTPStatus.BAD_REQUEST, "invalid repository name"
    NAME_UNKNOWN = HTTPStatus.NOT_FOUND, "repository name not known to registry"
    PAGINATION_NUMBER_INVALID = HTTPStatus.BAD_REQUEST, "invalid number of results requested"
    RANGE_INVALID = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "requested range is not satisfiable"
    TOOMANYREQUESTS = HTTPStatus.TOO_MANY_REQUESTS, "too many requests"
    UNAVAILABLE = HTTPStatus.SERVICE_UNAVAILABLE, "the upstream registry is not available"
    UNKNOWN = HTTPStatus.INTERNAL_SERVER_ERROR, "unknown error"
    UNSUPPORTED = HTTPStatus.METHOD_NOT_ALLOWED, "the operation is unsupported"

    @property
    def status(self) -> HTTPStatus:
        return self.value[0]

    @property
    def message(self) -> str:
        return self.value[1]
