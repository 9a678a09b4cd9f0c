"""One plain HTTP exchange, as a client sees it: its own pace, and whether the end was reached."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection, IncompleteRead
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from entrepot.oci.digest import Digest

__all__ = ["Download", "Reply", "ask"]

_PIECE = 256 << 10


@dataclass(frozen=True, slots=True)
class Reply:
    """``headers`` by lower-case name; ``whole`` is false where the body ended before its announced end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool

    @property
    def digest(self) -> Digest:
        """Name the body: what to compare where it is too large to be shown."""
        return Digest.of(self.body)


class Download:
    """An open answer on a connection of its own, read as slowly as the caller likes."""

    def __init__(
        self,
        url: str,
        path: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        within: float = 60.0,
    ) -> None:
        """Send the request as it is, ``path`` verbatim, and wait for the head of the answer."""
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=within)
        with ExitStack() as undo:
            undo.callback(self._connection.close)
            self._connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in (headers or {}).items():
                self._connection.putheader(name, value)
            if body is not None:
                self._connection.putheader("Content-Length", str(len(body)))
            self._connection.endheaders(body)
            self._response = self._connection.getresponse()
            undo.pop_all()
        self.status = self._response.status
        self.headers = {name.lower(): value for name, value in self._response.getheaders()}

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes, less only at the end."""
        return self._response.read(size)

    def rest(self) -> Reply:
        """Read to the end, or to where the connection breaks."""
        left = self._response.length
        pieces: list[bytes] = []
        broken = False
        try:
            while piece := self._response.read(_PIECE):
                pieces.append(piece)
        except (IncompleteRead, ConnectionError):
            broken = True
        body = b"".join(pieces)
        whole = not broken and left in (None, len(body))
        return Reply(self.status, self.headers, body, whole)

    def close(self) -> None:
        self._response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def ask(
    url: str,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    within: float = 60.0,
) -> Reply:
    """Exchange one request for one whole answer."""
    with Download(url, path, method=method, headers=headers, body=body, within=within) as download:
        return download.rest()
