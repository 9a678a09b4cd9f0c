from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.policy.proxies import TrustedProxies, parse_network

PEER, INNER, CLIENT, FORGED = "10.0.0.1", "10.9.9.9", "203.0.113.7", "198.51.100.1"


@pytest.fixture
def proxies() -> TrustedProxies:
    return TrustedProxies(map(parse_network, ("10.0.0.0/8", "fd00::/8")))


@pytest.mark.parametrize(
    ("peer", "header", "client"),
    [
        (PEER, None, PEER),
        (PEER, "", PEER),
        (PEER, CLIENT, CLIENT),
        (PEER, f"{CLIENT}, {INNER}", CLIENT),
        (PEER, f"{CLIENT},{INNER} ,\t{PEER}", CLIENT),
        ("fd00::1", "2001:DB8::7", "2001:db8::7"),
        # All of them are trusted: the farthest that is known asks.
        (PEER, INNER, INNER),
        # What the client has written itself comes before its address.
        (PEER, f"{FORGED}, {CLIENT}", CLIENT),
        (PEER, f"{INNER}, {CLIENT}, {INNER}", CLIENT),
        # Nobody is believed who is not trusted.
        (CLIENT, FORGED, CLIENT),
        ("192.0.2.1", f"{FORGED}, {INNER}", "192.0.2.1"),
        # Where it is no address, who is known to have asked is the proxy behind it.
        (PEER, "unknown", PEER),
        (PEER, f"{CLIENT}, _hidden, {INNER}", INNER),
        (PEER, f"{CLIENT},, {INNER}", INNER),
        (PEER, 'x"\r\n{"event": "request"}', PEER),
        (PEER, "fe80::1%eth0", PEER),
        (PEER, "999.0.0.1", PEER),
        # Some proxies add ports.
        (PEER, f"{CLIENT}:4711", CLIENT),
        (PEER, "[2001:db8::7]:4711", "2001:db8::7"),
        (PEER, "[2001:db8::7]", "2001:db8::7"),
        (PEER, "::ffff:203.0.113.7", CLIENT),
    ],
)
def test_who_asks_is_whom_the_last_trusted_proxy_names(
    proxies: TrustedProxies, peer: str, header: str | None, client: str
) -> None:
    assert proxies.client(peer, header) == client


def test_without_trusted_proxies_the_peer_asks() -> None:
    assert not TrustedProxies()
    assert TrustedProxies().client(PEER, CLIENT) == PEER


def test_a_header_without_end_costs_little(proxies: TrustedProxies) -> None:
    assert proxies.client(PEER, ", ".join([CLIENT, *[INNER] * 100])) == INNER


@given(st.text(), st.ip_addresses())
def test_no_client_gets_believed_by_what_it_writes(written: str, address: object) -> None:
    proxies = TrustedProxies([parse_network("10.0.0.1")])
    client = str(address)
    if client != PEER and getattr(address, "ipv4_mapped", None) is None:
        assert proxies.client(PEER, f"{written}, {client}") == client


@pytest.mark.parametrize("text", ["", "proxy.example", "10.0.0.1/8", "10.0.0.0/33", "*"])
def test_a_network_is_an_address_or_a_prefix_without_more_bits(text: str) -> None:
    with pytest.raises(ValueError, match=r"does not appear|has host bits"):
        parse_network(text)
