"""Every failure a caller may act on.  Nothing here knows HTTP."""

from __future__ import annotations

__all__ = [
    "BlobNotHere",
    "DiskFull",
    "EntrepotError",
    "ManifestNotHere",
    "MetadataFailed",
    "NotHere",
    "RateLimited",
    "Refused",
    "RepositoryNotHere",
    "SettingsInvalid",
    "StoreFailed",
    "UnknownUpstream",
    "UpstreamDown",
    "UpstreamLoops",
    "UpstreamTimeout",
    "WrongContent",
]


class EntrepotError(Exception):
    """Root of the failures this program raises on purpose.

    ``is_remembered``: the upstream said so a moment ago, and was not asked again.
    """

    is_remembered = False


class NotHere(EntrepotError):
    """Neither the cache nor any upstream has the thing."""


class ManifestNotHere(NotHere):
    """The upstream says that it has no such manifest."""


class BlobNotHere(NotHere):
    """The upstream says that it has no such blob."""


class RepositoryNotHere(NotHere):
    """The upstream says that it has no such repository."""


class UnknownUpstream(NotHere):
    """The request names an upstream that is not configured; it is never dialled."""


class Refused(EntrepotError):
    """The upstream, or a rule of this cache, does not let the caller have the thing."""


class RateLimited(EntrepotError):
    """The upstream counts too many requests; ``retry_after`` is in seconds from now."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UpstreamDown(EntrepotError):
    """The upstream did not answer usefully, and the cache holds nothing to serve instead.

    ``retry_after`` is in seconds from now, where it is known.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UpstreamLoops(UpstreamDown):
    """The upstream leads in a circle, or on for ever: to ask again would bring the same."""


class UpstreamTimeout(UpstreamDown):
    """The upstream did not answer in time."""


class WrongContent(UpstreamDown):
    """The upstream sent bytes that are not what their digest or their size says."""


class StoreFailed(EntrepotError):
    """The store cannot read or write: the disk is broken, gone, or read-only."""


class DiskFull(StoreFailed):
    """The store has no room for what is to be written."""


class MetadataFailed(EntrepotError):
    """The database cannot be read or written, or has no room; the message names the file and what to do.

    Never ``DiskFull``: what cannot be remembered can still be served.
    """


class SettingsInvalid(EntrepotError):
    """The configuration is wrong; the message names the place, the key and what is expected."""
