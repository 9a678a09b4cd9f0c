"""Speaks HTTP through aiohttp, which no other module but its resolver knows."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from time import monotonic
from typing import cast
from urllib.parse import urlsplit

import aiohttp
import yarl

from entrepot.config.schema import UpstreamSettings
from entrepot.errors import UpstreamDown, UpstreamTimeout
from entrepot.upstream.deadline import deadline
from entrepot.upstream.endpoint import host_of
from entrepot.upstream.inflow import SocketInflow
from entrepot.upstream.patience import Patience
from entrepot.upstream.resolver import Resolver
from entrepot.upstream.tls import TlsContexts, distrust
from entrepot.upstream.tls_inflow import OpenTls, TlsInflow
from entrepot.upstream.transport import Ask, ConnectTimeout, Response, Unreached

__all__ = ["AiohttpTransport"]

_READ_BUFFER = 512 << 10
_HEADER_LIMIT = 32 << 10  # Signed URLs of object stores outgrow the 8 KiB that aiohttp allows.
_WORTH_DIVERTING = 4 << 20  # As it costs a connection that others could use again.
_WORTH_DIVERTING_TLS = 16 << 20  # Which is two round trips, and the work of a handshake.
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)
_HEADERS = {"User-Agent": "entrepot", "Accept-Encoding": "identity"}


class AiohttpTransport:
    """Connects when it is first asked.  Bounding the connections is the business of the endpoints' queues."""

    def __init__(
        self, settings: UpstreamSettings, endpoint_hosts: frozenset[str], via: str | None, tls: TlsContexts
    ) -> None:
        self._headers = _HEADERS if via is None else {**_HEADERS, "Via": via}
        self._timeouts = settings.timeouts
        self._proxy = settings.proxy
        self._is_wrapped = (settings.proxy or "").lower().startswith("https:")
        """What comes from a socket is then of the proxy's TLS, which is around that of the upstream."""
        self._tls = tls
        self._endpoint_hosts = endpoint_hosts
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def request(self, ask: Ask) -> AsyncIterator[Response]:
        host = host_of(ask.url)
        with _translated(host):
            response = await self._head(ask, host)
        answer = _AiohttpResponse(response, host, self._timeouts.read, may_divert=not self._is_wrapped)
        try:
            yield answer
        finally:
            answer.close()

    async def close(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _head(self, ask: Ask, host: str) -> aiohttp.ClientResponse:
        try:
            async with deadline(self._timeouts.response):
                return await self._open_session().request(
                    ask.method,
                    yarl.URL(ask.url, encoded=True),
                    headers=ask.headers,
                    data=ask.form,
                    allow_redirects=False,
                    proxy=self._proxy,
                    ssl=self._context_for(ask.url, host),
                )
        except aiohttp.ConnectionTimeoutError as error:
            raise ConnectTimeout(
                f"{host} accepted no connection within {self._timeouts.connect:g} s; "
                "check the network, or set the proxy of this upstream"
            ) from error
        except TimeoutError as error:
            raise UpstreamTimeout(f"{host} sent no answer within {self._timeouts.response:g} s") from error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, resolver=Resolver()),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(connect=self._timeouts.connect),
                auto_decompress=False,
                read_bufsize=_READ_BUFFER,
                max_line_size=_HEADER_LIMIT,
                max_field_size=_HEADER_LIMIT,
            )
        return self._session

    def _context_for(self, url: str, host: str) -> ssl.SSLContext | bool:
        if not url.startswith("https:"):
            return True
        if host in self._endpoint_hosts:
            return self._tls.for_endpoints()
        return self._tls.for_elsewhere()


class _AiohttpResponse:
    def __init__(
        self, response: aiohttp.ClientResponse, host: str, read_timeout: float, *, may_divert: bool
    ) -> None:
        self.status = response.status
        self.headers = _joined_headers(response)
        self._response = response
        self._content = response.content
        self._arrived = deque[bytes]()
        self._inflow: SocketInflow | None = None
        self._host = host
        self._read_timeout = read_timeout
        self._patience = Patience(host, read_timeout)
        self._may_divert = may_divert

    def divert(self, length: int) -> SocketInflow | None:
        """Take the socket over from the library, behind what it has read of the body already."""
        transport = self._response.connection and self._response.connection.transport
        told = None if "transfer-encoding" in self.headers else self._response.content_length
        if not transport or told != length or not self._can_be_left(transport, length):
            return None
        with suppress(OSError, aiohttp.ClientError):  # Whatever it is, reading on will meet it too.
            # Taking what has come may let the library read on, so it comes first; no event comes between.
            while chunk := self._content.read_nowait():
                self._arrived.append(chunk)
            self._inflow = self._take_over(transport, length - self._content.total_bytes)
            transport.pause_reading()
            # Else an answer that had the connection before, and is read only now, lets the library read on.
            transport.abort()
        return self._inflow

    def _can_be_left(self, transport: asyncio.Transport, length: int) -> bool:
        """Tell whether a connection can do without the library, and is worth it."""
        left = length - self._content.total_bytes
        if not self._may_divert or transport.is_closing():
            return False
        if transport.get_extra_info("sslcontext") is None:
            return left >= _WORTH_DIVERTING
        is_open = isinstance(transport.get_extra_info("ssl_object"), OpenTls)
        return is_open and left >= _WORTH_DIVERTING_TLS

    def _take_over(self, transport: asyncio.Transport, left: int) -> SocketInflow:
        descriptor = transport.get_extra_info("socket").fileno()
        tls = transport.get_extra_info("ssl_object")
        if tls is None:
            return SocketInflow(descriptor, left, self._host, self._read_timeout)
        return TlsInflow(tls, descriptor, left, self._host, self._read_timeout)

    async def chunks(self) -> AsyncIterator[bytes]:
        while self._arrived:
            yield self._arrived.popleft()
        while self._inflow is None and (chunk := await self._next()):
            yield chunk

    def close(self) -> None:
        """Give the connection back if the body was read to its end; any other ends with it."""
        self._response.close()
        if self._inflow is not None:
            self._inflow.close()

    async def _next(self) -> bytes:
        with _translated(self._host):
            try:
                return await self._arrival()
            except TimeoutError as error:
                raise self._patience.ended() from error
            except (aiohttp.ClientError, OSError) as error:
                if rest := _rest_before(error, self._content):
                    return rest
                raise

    async def _arrival(self) -> bytes:
        asked_at = monotonic()
        async with deadline(self._patience.left):
            chunk = await self._content.readany()
        self._patience.rewarded(len(chunk), monotonic() - asked_at)
        return chunk


def _rest_before(error: Exception, content: aiohttp.StreamReader) -> bytes:
    """Return what had come when the connection broke, which would have to be fetched again.

    The reader raises rather than give it, for as long as it knows of the break.
    """
    content.set_exception(cast("BaseException", None))
    rest = content.read_nowait()
    content.set_exception(error)
    return rest


def _joined_headers(response: aiohttp.ClientResponse) -> Mapping[str, str]:
    """Join what is repeated, as WWW-Authenticate may be (RFC 9110, section 5.3)."""
    headers = response.headers
    return {name.lower(): ", ".join(headers.getall(name)) for name in headers}


@contextmanager
def _translated(host: str) -> Iterator[None]:
    """Say what happened to ``host`` in words of this program."""
    try:
        yield
    except aiohttp.ClientConnectorDNSError as error:
        raise Unreached(_unresolved(host, error.host)) from error
    except aiohttp.ClientProxyConnectionError as error:
        told = f"the proxy on the way to {host} accepts no connections: {_reason(error.os_error)}"
        raise UpstreamDown(f"{told}; check that it runs, and the proxy setting of this upstream") from error
    except aiohttp.ClientHttpProxyError as error:
        # What the library says names the proxy by its URL, with the password that may be in it.
        told = f"the proxy on the way to {host} does not let through: answer {error.status}"
        raise UpstreamDown(f"{told}; check what it allows, and the proxy setting of this upstream") from error
    except (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError) as error:
        raise UpstreamDown(distrust(host, error)) from error
    except aiohttp.ClientSSLError as error:
        raise UpstreamDown(f"TLS with {host} failed: {_fault(error)}; is it an http:// endpoint?") from error
    except aiohttp.ClientConnectorError as error:
        kind = Unreached if error.os_error.errno in _NO_WAY else UpstreamDown
        told = f"{host} accepts no connections: {_reason(error.os_error)}"
        raise kind(f"{told}; check that it runs there, and that no firewall is between") from error
    except aiohttp.ClientPayloadError as error:
        raise UpstreamDown(f"{host} ended its answer too early") from error
    except (aiohttp.ServerDisconnectedError, ConnectionError) as error:
        raise UpstreamDown(f"{host} closed the connection without an answer") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        # The words of an answer's failure show its URL, which may be a signed one.
        told = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
        raise UpstreamDown(f"{host} does not speak proper HTTP: {told}") from error


def _unresolved(host: str, name: str) -> str:
    """Tell the name of a proxy from that of the upstream."""
    if name.lower() == urlsplit(f"//{host}").hostname:
        return f"the name of {host} does not resolve; check its spelling and the DNS"
    told = f"the name of the proxy on the way to {host} does not resolve"
    return f"{told}; check the proxy setting of this upstream, and the DNS"


def _fault(error: aiohttp.ClientSSLError) -> str:
    """Tell what OpenSSL calls by the name of a constant; the library's words have objects in them."""
    name = getattr(error.os_error, "reason", None)
    return name.replace("_", " ").lower() if isinstance(name, str) else str(error.os_error)


def _reason(error: OSError) -> str:
    """Tell why there is no connection; the event loop has words of its own for it."""
    return os.strerror(error.errno) if error.errno else error.strerror or "it breaks them off"
