"""Conditional requests: what If-None-Match and If-Range say of an entity tag (RFC 9110, section 13)."""

from __future__ import annotations

import re

__all__ = ["etag_matches", "range_applies"]

# Clients of registries also send the bare digest, without the quotes of RFC 9110, section 8.8.3.
_ENTITY_TAG = re.compile(r'(?:W/)?"(?P<quoted>[^"]*)"|(?P<bare>[^\s",]+)')


def etag_matches(if_none_match: str, etag: str) -> bool:
    """Tell whether the client holds what ``etag`` names, so that a 304 will do (weak comparison)."""
    if if_none_match.strip() == "*":
        return True
    held = {tag["quoted"] or tag["bare"] for tag in _ENTITY_TAG.finditer(if_none_match)}
    return _opaque(etag) in held


def range_applies(if_range: str | None, etag: str) -> bool:
    """Tell whether Range is to be honoured: only for the very bytes the client has begun to hold.

    The comparison is strong (RFC 9110, section 13.1.5).  A date never applies, as content
    named by its digest has none.
    """
    return if_range is None or (if_range.strip() == etag and not etag.startswith("W/"))


def _opaque(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')
