"""Has the server listen where the settings say, and says why it cannot."""

from __future__ import annotations

import errno
import os
import socket

from entrepot.config.forms import parse_listen
from entrepot.errors import EntrepotError
from entrepot.http.server.serve import Server

__all__ = ["listen_on"]

_ADVICE = {
    errno.EADDRINUSE: ": stop what serves there, or choose another port with --listen or ENTREPOT_LISTEN",
    errno.EACCES: ": choose a port above 1023, or let the service have CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: ": this machine has no such address",
}


async def listen_on(server: Server, listen: str) -> list[str]:
    """Listen on ``HOST:PORT``; return the addresses bound, as they are written in URLs."""
    try:
        addresses = await server.start(*parse_listen(listen))
    except OSError as failure:
        # The library adds to the system's words what it was doing; those of a resolver are its own.
        number = None if isinstance(failure, socket.gaierror) else failure.errno
        reason = os.strerror(number) if number else failure.strerror or failure
        advice = _ADVICE.get(failure.errno or 0, "")
        raise EntrepotError(f"cannot listen on {listen}: {reason}{advice}") from failure
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in addresses]
