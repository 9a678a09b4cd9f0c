"""Decides what may be pulled, and who may be shown a credential."""

from __future__ import annotations

import re
from collections.abc import Collection
from fnmatch import fnmatchcase
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

__all__ = ["PullRules", "may_pull", "may_send_credential", "registrable_domain"]

# Strangers rent names side by side below these: only the very host is the same party.
_RENTED = frozenset((
    "amazonaws.com", "amazonaws.com.cn", "appspot.com", "azurecontainerapps.io", "azurecr.io", "azurefd.net",
    "azurewebsites.net", "cloudapp.net", "cloudfront.net", "cluster.local", "duckdns.org", "dyndns.org",
    "firebaseapp.com", "fly.dev", "github.io", "gitlab.io", "herokuapp.com", "jfrog.io", "netlify.app",
    "ngrok.app", "ngrok.io", "nip.io", "no-ip.org", "onrender.com", "pages.dev", "r2.dev", "railway.app",
    "run.app", "sslip.io", "vercel.app", "web.app", "windows.net", "workers.dev",
))  # fmt: skip
# Labels that countries keep for kinds of registrants: co.uk, com.au, ac.jp.
_SECOND_LEVEL = re.compile(r"ac|com?|edu|gob?|gouv|gov|ltd|mil|net?|nom|org?|plc|sch")
_HOST = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]")
_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|\[::1\]")


class PullRules(Struct, frozen=True):
    """Shell patterns of repositories; ``*`` matches slashes too.  No ``allow`` allows all; ``deny`` wins."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


def may_pull(rules: PullRules, name: str) -> bool:
    if rules.deny and any(fnmatchcase(name, pattern) for pattern in rules.deny):
        return False
    return not rules.allow or any(fnmatchcase(name, pattern) for pattern in rules.allow)


def may_send_credential(endpoint: str, realm: str, token_hosts: Collection[str] = ()) -> bool:
    """Tell whether the credential for the URL ``endpoint`` may be sent to the URL ``realm``.

    It may if the realm is on the endpoint's host, whatever the port, under the same registrable
    domain, or on one of ``token_hosts``; but not by http if the endpoint has https, loopback apart.
    """
    source, target = _split(endpoint), _split(realm)
    if source is None or target is None:
        return False
    source_host, target_host = _host(source), _host(target)
    if source.scheme == "https" and target.scheme == "http" and _LOOPBACK.fullmatch(target_host) is None:
        return False
    if target_host == source_host:
        return True
    if not {target_host, target.netloc.lower()}.isdisjoint(host.lower() for host in token_hosts):
        return True
    domain = registrable_domain(source_host)
    return domain is not None and domain == registrable_domain(target_host)


def registrable_domain(host: str) -> str | None:
    """Return the domain that one party registered: the last two labels, three below ``co.uk`` and its like.

    ``None`` where only the very host counts: addresses, single labels, and domains known to
    rent names to strangers.  This is a rule of thumb, not the Public Suffix List: below a
    suffix that it does not know (``chiyoda.tokyo.jp``), strangers pass for one party.
    """
    labels = host.split(".")
    if len(labels) < 2 or labels[-1].isdecimal() or not all(labels):
        return None
    kept = 3 if len(labels[-1]) == 2 and _SECOND_LEVEL.fullmatch(labels[-2]) else 2
    domain = ".".join(labels[-kept:])
    return None if len(labels) < kept or domain in _RENTED else domain


def _split(url: str) -> SplitResult | None:
    """Split an HTTP URL of the plainest form: what two parsers might read in two ways is none here."""
    if not (url.isascii() and url.isprintable()):
        return None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for a port that is none.
    except ValueError:
        return None
    is_plain = parts.scheme in {"http", "https"} and "@" not in parts.netloc
    return parts if is_plain and _HOST.fullmatch(_host(parts)) else None


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").removesuffix(".")
    return f"[{host}]" if ":" in host else host
