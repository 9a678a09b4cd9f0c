"""Has the server listen where the settings say, and says why it cannot."""

from __future__ import annotations

import os
import socket

from entrepot.config.forms import parse_listen
from entrepot.errors import EntrepotError
from entrepot.http.server.serve import Server

__all__ = ["listen_on"]


async def listen_on(server: Server, listen: str) -> list[str]:
    """Listen on ``HOST:PORT``; return the addresses bound, as they are written in URLs."""
    try:
        addresses = await server.start(*parse_listen(listen))
    except OSError as failure:
        # The library adds to the system's words what it was doing; those of a resolver are its own.
        number = None if isinstance(failure, socket.gaierror) else failure.errno
        reason = os.strerror(number) if number else failure.strerror or failure
        raise EntrepotError(f"cannot listen on {listen}: {reason}") from failure
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in addresses]
