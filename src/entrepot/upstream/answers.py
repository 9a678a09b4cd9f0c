"""What the statuses and headers of a registry's answers mean to this program."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec
from msgspec import Struct

from entrepot.errors import EntrepotError, NotHere, RateLimited, Refused, RepositoryNotHere, UpstreamDown

__all__ = ["Failed", "RangeUnmet", "RateLimit", "content_length", "failure", "rate_limit", "retry_after"]

_LONGEST_WAIT = 86400.0
_SECONDS = re.compile(r"[0-9]{1,9}")
_EPOCH = re.compile(r"[0-9]{10,11}")
_LENGTH = re.compile(r"[0-9]{1,18}")
_RATE = re.compile(r"(?P<count>[0-9]{1,9})(?:;w=(?P<window>[0-9]{1,9}))?")
_LONGEST_MESSAGE = 200
_ADVICE = {
    407: "; the proxy on the way wants a user: put one into the proxy setting of this upstream",
    508: " (it came back to the cache that sent it; correct the endpoints)",
}


class RateLimit(Struct, frozen=True):
    """How many pulls a registry allows in a window of seconds, and how many are left (Docker Hub)."""

    limit: int
    remaining: int
    window: float | None = None
    resets_at: float | None = None
    """Seconds since the epoch."""


class Failed(Struct, frozen=True):
    """An answer that is no success.  ``what`` names the thing asked for, ``missing`` is what a 404 means."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    host: str
    what: str
    missing: type[NotHere]


class RangeUnmet(UpstreamDown):
    """A part was asked for and is not to be had: the whole may be."""


class _Problem(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Problems(msgspec.Struct):
    errors: list[_Problem] = msgspec.field(default_factory=list)


def failure(failed: Failed, now: float, *, has_credential: bool) -> EntrepotError:
    """Return the exception that ``failed`` is; ``now`` is seconds since the epoch, for Retry-After."""
    problem = _first_problem(failed.body)
    said = f": {problem.message[:_LONGEST_MESSAGE]}" if problem.message else ""
    place = f"{failed.what} at {failed.host}"
    match failed.status:
        case 401 | 403 | 451:
            advice = (
                "the configured credential may not read it"
                if has_credential
                else "no credential is configured; it may need username and password"
            )
            return Refused(f"{place} was refused ({failed.status}); {advice}{said}")
        case 405 | 501:
            return Refused(f"{place}: the registry does not offer this ({failed.status}){said}")
        case 404 | 410 if problem.code == "NAME_UNKNOWN":
            return RepositoryNotHere(f"{place} does not exist, nor does its repository")
        case 404 | 410:
            return failed.missing(f"{place} does not exist")
        case 429:
            wait = retry_after(failed.headers, now)
            return RateLimited(f"{failed.host} counts too many requests{said}", wait)
        case status:
            advice = _ADVICE.get(status, "")
            kind = RangeUnmet if status == 416 else UpstreamDown
            return kind(f"{place}: answer {status}{advice}{said}", retry_after(failed.headers, now))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read Retry-After, seconds or a date (RFC 9110, section 10.2.3): seconds from ``now``, a day at most."""
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(0.0, moment - now), _LONGEST_WAIT)


def content_length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("content-length", "").strip()
    return int(text) if _LENGTH.fullmatch(text) else None


def refuse_page(headers: Mapping[str, str], what: str) -> None:
    """Raise ``UpstreamDown`` for a page for people, which a portal answers with whatever is asked."""
    if headers.get("content-type", "").strip().lower().startswith("text/html"):
        raise UpstreamDown(f"{what} is a page for people, not what was asked for; is there a login?")


def rate_limit(headers: Mapping[str, str], now: float) -> RateLimit | None:
    """Read Docker Hub's ``ratelimit-limit: 100;w=21600`` and ``ratelimit-remaining``.

    Others tell in ``ratelimit-reset`` when the window ends: GitLab by the epoch, drafts of the
    IETF in seconds from ``now``.
    """
    limit = _RATE.match(headers.get("ratelimit-limit", ""))
    remaining = _RATE.match(headers.get("ratelimit-remaining", ""))
    if limit is None or remaining is None:
        return None
    window = limit["window"]
    reset = headers.get("ratelimit-reset", "").strip()
    resets_at = float(reset) if _EPOCH.fullmatch(reset) else None
    if _SECONDS.fullmatch(reset):
        resets_at = now + float(reset)
    count, left = int(limit["count"]), int(remaining["count"])
    return RateLimit(count, left, float(window) if window else None, resets_at)


def _first_problem(body: bytes) -> _Problem:
    """Read the specification's error envelope; anything else says nothing."""
    try:
        problems = msgspec.json.decode(body, type=_Problems).errors
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Problem()
    return problems[0] if problems else _Problem()
