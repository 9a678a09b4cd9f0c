"""Where redirects lead, for requests of registries and of their token services alike."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from entrepot.errors import UpstreamDown
from entrepot.upstream.endpoint import origin_of

__all__ = ["MOST_REDIRECTS", "REDIRECTS", "redirect_target"]

MOST_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})


def redirect_target(url: str, location: str) -> str:
    """Resolve a Location; its signature must survive, so no character of it is quoted anew."""
    try:
        target = urljoin(url, location)
        origin = origin_of(target)
    except ValueError:
        origin = ("", "", None)
        target = location
    is_plain = target.isascii() and target.isprintable() and " " not in target
    if not location or not is_plain or origin[0] not in ("http", "https") or not origin[1]:
        raise UpstreamDown(f"{urlsplit(url).netloc} redirects to nowhere: {location[:100]!r}")
    return target
