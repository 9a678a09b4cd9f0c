"""Posts to a collector, from a thread that may wait; whatever goes wrong is an ``OSError``."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

__all__ = ["Poster"]

_DEADLINE = 10.0
_LONGEST_ANSWER = 64 << 10
"""Bytes that are read of an answer so that its connection can be kept."""


class Poster:
    """Keeps its connection from one body to the next, as long as the collector does."""

    def __init__(self, url: str, headers: Mapping[str, str], context: ssl.SSLContext | None = None) -> None:
        """Trust the authorities of ``context``, or those of the system."""
        self._url = urlsplit(url)
        self._headers = dict(headers)
        self._context = context
        self._connection: HTTPConnection | None = None

    def post(self, body: bytes) -> None:
        """Raise ``OSError`` for any answer but a 2xx, and for none.

        A collector that ended the connection meanwhile may get the body twice.
        """
        try:
            status = self._ask_again(body) if self._connection is not None else self._ask(body)
        except HTTPException as failure:
            raise ConnectionError(f"{self._url.hostname} answered no HTTP: {failure!r}") from failure
        if not 200 <= status < 300:
            raise ConnectionError(f"{self._url.hostname} answered {status}")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _ask_again(self, body: bytes) -> int:
        """Ask over the connection that there is, and over a new one where that has ended."""
        try:
            return self._ask(body)
        except TimeoutError:
            raise
        except (OSError, HTTPException):
            return self._ask(body)

    def _ask(self, body: bytes) -> int:
        """Return the status of the answer; nothing stays open that could not be asked again."""
        target = self._url._replace(scheme="", netloc="", fragment="").geturl() or "/"
        self._connection = self._connection or self._made()
        is_reusable = False
        try:
            self._connection.request("POST", target, body, self._headers)
            answer = self._connection.getresponse()
            is_reusable = not answer.read(_LONGEST_ANSWER + 1)[_LONGEST_ANSWER:] and not answer.will_close
        finally:
            if not is_reusable:
                self.close()
        return answer.status

    def _made(self) -> HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return HTTPSConnection(host, port, timeout=_DEADLINE, context=self._context)
        return HTTPConnection(host, port, timeout=_DEADLINE)
