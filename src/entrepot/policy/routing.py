"""Decides which upstream a request means, and what the repository is called there.

Every host in a request is a key into a closed table.  A key that is not in it is unknown,
never something to dial.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from msgspec import Struct

from entrepot.oci.reference import InvalidName, Repository, check_name, split_host

__all__ = [
    "DOCKER_HUB",
    "DOCKER_HUB_ALIASES",
    "NameInvalid",
    "NoSuchUpstream",
    "UpstreamTable",
    "resolve",
    "resolve_named",
    "resolve_upstream",
    "split_upstream",
]

DOCKER_HUB = "docker.io"
DOCKER_HUB_ALIASES = ("index.docker.io", "registry-1.docker.io")


class NoSuchUpstream(Struct, frozen=True):
    """The request names a host that is no upstream of this cache: a 404."""

    host: str


class NameInvalid(Struct, frozen=True):
    """What is left of the name is no repository's name."""

    name: str


class UpstreamTable(Struct, frozen=True):
    """``names`` and ``hostnames`` map lower-case hosts to the names that upstreams are configured by."""

    names: Mapping[str, str]
    hostnames: Mapping[str, str]
    default: str

    @classmethod
    def build(cls, names: Iterable[str], hostnames: Mapping[str, str], default: str) -> Self:
        """Make the table; ``hostnames`` maps Host headers of this cache to names of upstreams."""
        known = {name.lower(): name for name in names}
        if DOCKER_HUB in known:
            known = dict.fromkeys(DOCKER_HUB_ALIASES, known[DOCKER_HUB]) | known
        return cls(known, {host.lower(): name for host, name in hostnames.items()}, default)

    def named(self, host: str) -> str | NoSuchUpstream:
        # Of other letters some become ASCII's in lower case: no host is spelt with them.
        return (self.names.get(host.lower()) if host.isascii() else None) or NoSuchUpstream(host)

    def hosted(self, host_header: str) -> str | None:
        """Find the upstream that a Host header means, port and all, else without the port."""
        host = host_header.lower()
        without_port, _, _ = host.rpartition(":")
        return self.hostnames.get(host) or self.hostnames.get(without_port)


def resolve_upstream(
    route_host: str | None, ns: str | None, host_header: str | None, upstreams: UpstreamTable
) -> str | NoSuchUpstream | None:
    """Find the upstream that a request names outside the repository's name; ``None`` if it names none."""
    if ns or route_host:
        return upstreams.named(ns or route_host or "")
    return upstreams.hosted(host_header) if host_header else None


def resolve(
    route_host: str | None, ns: str | None, host_header: str | None, name: str, upstreams: UpstreamTable
) -> Repository | NoSuchUpstream | NameInvalid:
    """Find the repository that a request means.

    ``ns`` and a host before ``/v2`` take the name as it is.  Else a host at its beginning decides
    before the Host header does, and the default upstream has the rest.
    """
    host = ns or route_host
    prefix, rest = split_host(name)
    if not host or (prefix is not None and upstreams.named(prefix) == upstreams.named(host)):
        # Said twice, where a client that sends ``ns`` is also pointed at a path per upstream, counts once.
        host, name = host or prefix, rest
    upstream = upstreams.named(host) if host else upstreams.hosted(host_header or "") or upstreams.default
    return _repository(upstream, name)


def resolve_named(name: str, upstreams: UpstreamTable) -> Repository | NoSuchUpstream | NameInvalid:
    """Find the repository that people mean: as in a pull, or as it is listed, behind its upstream's name."""
    host, rest = split_upstream(name, upstreams)
    return _repository(upstreams.named(host) if host else upstreams.default, rest)


def split_upstream(name: str, upstreams: UpstreamTable) -> tuple[str | None, str]:
    """Split off the host that a name begins with, or the upstream though its name is like no host's.

    A pull by path cannot name such an upstream; but so are its repositories listed.
    """
    host, rest = split_host(name)
    first, _, behind = name.partition("/")
    return (first, behind) if host is None and behind and first in upstreams.names else (host, rest)


def _repository(upstream: str | NoSuchUpstream, name: str) -> Repository | NoSuchUpstream | NameInvalid:
    if isinstance(upstream, NoSuchUpstream):
        return upstream
    if upstream == DOCKER_HUB and "/" not in name:
        name = f"library/{name}"
    try:
        return Repository(upstream, check_name(name))
    except InvalidName:
        return NameInvalid(name)
