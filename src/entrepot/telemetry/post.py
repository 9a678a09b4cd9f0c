"""Posts to a collector, from a thread that may wait; whatever goes wrong is an ``OSError``."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

__all__ = ["Poster"]

_DEADLINE = 10.0


class Poster:
    """Opens a connection for each body: they are few and large."""

    def __init__(self, url: str, headers: Mapping[str, str], context: ssl.SSLContext | None = None) -> None:
        """Trust the authorities of ``context``, or those of the system."""
        self._url = urlsplit(url)
        self._headers = dict(headers)
        self._context = context

    def post(self, body: bytes) -> None:
        """Raise ``OSError`` for any answer but a 2xx, and for none."""
        target = self._url._replace(scheme="", netloc="", fragment="").geturl() or "/"
        try:
            with closing(self._connection()) as connection:
                connection.request("POST", target, body, self._headers)
                status = connection.getresponse().status
        except HTTPException as failure:
            raise ConnectionError(f"{self._url.hostname} answered no HTTP: {failure!r}") from failure
        if not 200 <= status < 300:
            raise ConnectionError(f"{self._url.hostname} answered {status}")

    def _connection(self) -> HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return HTTPSConnection(host, port, timeout=_DEADLINE, context=self._context)
        return HTTPConnection(host, port, timeout=_DEADLINE)
