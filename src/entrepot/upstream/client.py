"""Sends one request to one endpoint: in its turn, authorized, along redirects, with failures told apart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
)

from msgspec import Struct, field

from entrepot.errors import EntrepotError, NotHere, Refused, UpstreamDown
from entrepot.ports.clock import Clock
from entrepot.telemetry.trace import Kind, Span, trace
from entrepot.upstream.answers import Failed, failure, rate_limit
from entrepot.upstream.authorizer import Authorizer
from entrepot.upstream.bodies import read_start
from entrepot.upstream.endpoint import Endpoint, host_of, origin_of
from entrepot.upstream.observer import Observer
from entrepot.upstream.redirects import followed
from entrepot.upstream.standing import Standing
from entrepot.upstream.transport import Ask, Response, Transport

__all__ = ["Client", "Wish"]


class Wish(Struct, frozen=True):
    """What is wanted of whichever endpoint is asked.

    ``rest`` is what follows the repository in the path (``blobs/sha256:...``), ``kind`` a word
    for the metrics, and ``missing`` what a 404 means.
    """

    repository: str
    rest: str
    kind: str
    missing: type[NotHere]
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.repository}/{self.rest}"


class Client:
    def __init__(
        self,
        transport: Transport,
        authorizer: Authorizer,
        observer: Observer,
        clock: Clock,
        standing: Standing,
    ) -> None:
        self._transport = transport
        self._authorizer = authorizer
        self.observer = observer
        self._clock = clock
        self._standing = standing

    @asynccontextmanager
    async def open(self, endpoint: Endpoint, wish: Wish) -> AsyncIterator[Response]:
        """Hold a successful answer open; raise what any other means.

        Raises ``NotHere``, ``Refused``, ``RateLimited``, ``UpstreamDown`` and their kinds.
        """
        is_download = wish.kind == "blob" and wish.method == "GET"
        async with AsyncExitStack() as stack:
            stack.enter_context(_spanned(endpoint, wish))
            await stack.enter_async_context(endpoint.place(for_download=is_download))
            asked_at = self._clock.monotonic()
            waiting = stack.enter_context(ExitStack())
            waiting.enter_context(endpoint.awaited())
            try:
                response = await stack.enter_async_context(self._authorized(endpoint, wish))
            except EntrepotError as failed:
                self.observer.failed(wish.kind, failed)
                raise
            self.observer.answered(wish.kind, self._clock.monotonic() - asked_at)
            if is_download:
                waiting.close()  # A body may take long; any other answer is awaited to its last byte.
            yield response

    @asynccontextmanager
    async def _authorized(self, endpoint: Endpoint, wish: Wish) -> AsyncIterator[Response]:
        """Answer one challenge: the first there is, or that to a token which has expired."""
        name = endpoint.name_of(wish.repository)
        authorization = await self._authorizer.expected(endpoint, name)
        for may_be_challenged in (True, False):
            async with self._followed(endpoint, wish, authorization) as (response, url):
                self._note(response)
                if 200 <= response.status < 300:
                    self._authorizer.accepted(endpoint, authorization)
                    yield response
                    return
                is_own = origin_of(url) == endpoint.origin
                if response.status != 401 or not is_own or not may_be_challenged:
                    failed = await self._failure(response, wish, host_of(url), is_own=is_own)
                    refused = authorization if is_own and response.status == 401 else None
                    self._authorizer.refused(endpoint, refused, failed)
                    raise failed
                await read_start(response)
                self._authorizer.learn(endpoint, name, response.headers.get("www-authenticate", ""))
            authorization = await self._authorizer.header(endpoint, name, rejected=authorization)

    def _followed(
        self, endpoint: Endpoint, wish: Wish, authorization: str | None
    ) -> AbstractAsyncContextManager[tuple[Response, str]]:
        """Follow redirects, to wherever, but bring the credential to the endpoint's own origin only."""

        def ask(url: str) -> Ask:
            headers = dict(wish.headers)
            if authorization is not None and origin_of(url) == endpoint.origin:
                headers["Authorization"] = authorization
            return Ask(wish.method, url, headers)

        address = endpoint.address(wish.repository, wish.rest)
        return followed(self._transport, address, ask, f"{wish} at {endpoint.host}")

    def _note(self, response: Response) -> None:
        now = self._clock.now()
        self._standing.dated(response.headers, now)
        if (limit := rate_limit(response.headers, now)) is not None:
            self._standing.told(limit, now)
            self.observer.told(limit, lambda: self._standing.is_over(self._clock.now()))

    async def _failure(self, response: Response, wish: Wish, host: str, *, is_own: bool) -> EntrepotError:
        body = b"" if wish.method == "HEAD" else await read_start(response)
        if not is_own and response.status in (400, 401, 403, 404):
            # What a signed URL leads to knows no repositories, and may be signed for GET alone.
            kind = Refused if wish.method == "HEAD" else UpstreamDown
            return kind(f"{wish}: the redirect to {host} was answered {response.status}")
        failed = Failed(response.status, response.headers, body, host, str(wish), wish.missing)
        return failure(failed, self._clock.now(), has_credential=self._standing.has_credential)


def _spanned(endpoint: Endpoint, wish: Wish) -> AbstractContextManager[Span | None]:
    """Tell of a request, the wait for its turn and its body included."""
    attributes = {"http.request.method": wish.method, "server.address": endpoint.host, "url.path": str(wish)}
    return trace.span(f"{wish.method} {wish.kind} of upstream", Kind.CLIENT, **attributes)
