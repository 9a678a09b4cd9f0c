"""Who asks, where proxies that are trusted ask on behalf of others (X-Forwarded-For)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import islice

__all__ = ["Network", "TrustedProxies", "parse_network"]

Network = IPv4Network | IPv6Network

_MOST_HOPS = 32


class TrustedProxies:
    """Each proxy adds whom it was asked by to the end: what stands there is as true as who wrote it.

    So the header is read from its end for as long as trusted proxies wrote it.  Whatever a client
    has written into it stands before its own address, and is never reached.
    """

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def client(self, peer: str, forwarded_for: str | None) -> str:
        """Return the address of who asks: the peer's own, or whom trusted proxies name."""
        client = peer
        for address in islice(_from_end(forwarded_for or ""), _MOST_HOPS):
            if address is None or not self._is_trusted(client):
                break
            client = str(address)
        return client

    def _is_trusted(self, text: str) -> bool:
        address = _parse(text)
        return address is not None and any(address in network for network in self._networks)


def parse_network(text: str) -> Network:
    """Read an address or a network such as ``10.0.0.0/8``; raise ``ValueError``."""
    return ip_network(text)


def _from_end(header: str) -> Iterator[IPv4Address | IPv6Address | None]:
    while header:
        header, _, last = header.rpartition(",")
        yield _parse(last.strip())


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address, with a port where a proxy has added one; ``None`` for what is none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    if "%" in text:  # A zone means something on the host that wrote it alone.
        return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
