"""Ports to listen on that nobody else takes meanwhile, however many tests run beside each other."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import cycle, islice
from random import SystemRandom

__all__ = ["free_port"]

_PORTS = range(20_000, 32_000)
"""Below those that the system chooses for connections, of which tests beside each other make many."""

_BLOCK = 100


def free_port() -> int:
    """Return a loopback port that is this process's own until a hundred more were asked for."""
    for port in islice(_own_ports(), _BLOCK):
        with socket.socket() as probe, suppress(OSError):
            # Connections that have ended keep nobody from listening.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"none of {_BLOCK} ports is free")


@cache
def _own_ports() -> Iterator[int]:
    """Give out, again and again, the ports of a block that no other process has.

    Whoever has a block has bound a name that goes with the process (unix(7), abstract sockets).
    """
    starts = list(_PORTS[::_BLOCK])
    for start in SystemRandom().sample(starts, len(starts)):
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0entrepot ports from {start}")
        except OSError:
            mark.close()
            continue
        mark.detach()  # Open as long as this process lives.
        return cycle(range(start, start + _BLOCK))
    raise OSError(f"no block of ports is free from {_PORTS.start} to {_PORTS.stop}")
