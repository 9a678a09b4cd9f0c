"""Blobs of one endpoint: confirmed, or streamed from any offset."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager

from entrepot.errors import BlobNotHere, NotHere, Refused, UpstreamDown, UpstreamTimeout, WrongContent
from entrepot.oci.digest import Digest
from entrepot.oci.range import parse_content_range, range_header
from entrepot.policy.breaker import FailureKind
from entrepot.ports.upstream import Inflow
from entrepot.upstream.answers import RangeUnmet, content_length, refuse_page
from entrepot.upstream.bodies import read_start
from entrepot.upstream.client import Client, Wish
from entrepot.upstream.endpoint import Endpoint
from entrepot.upstream.observer import Observer
from entrepot.upstream.transport import Response

__all__ = ["OpenBlob", "head_blob", "open_blob"]

_KIND = "blob"


class OpenBlob:
    """A ``BlobStream``.  What goes wrong in its body is told to the endpoint's breaker."""

    def __init__(
        self, response: Response, endpoint: Endpoint, observer: Observer, wish: Wish, digest: Digest
    ) -> None:
        self._what = f"{wish} at {endpoint.host}"
        self.start, self.stop, self.size = _extent(response, self._what)
        self._response = response
        self.origin = endpoint
        self._observer = observer
        self._digest = digest
        self._answers = endpoint.answers
        self._is_diverted = False

    async def chunks(self) -> AsyncIterator[bytes]:
        position = self.start
        with self._blamed():
            self._listen()
            async for chunk in self._response.chunks():
                self._observer.received(_KIND, len(chunk))
                position += len(chunk)
                if self.stop is not None and position > self.stop:
                    raise WrongContent(
                        f"{self._what}: more bytes came than the {self.stop - self.start} told"
                    )
                yield chunk
                self._listen()
            if self.stop is not None and position < self.stop and not self._is_diverted:
                raise UpstreamDown(f"{self._what}: ended {self.stop - position} bytes too early")

    def divert(self) -> Inflow | None:
        inflow = None if self.stop is None else self._response.divert(self.stop - self.start)
        if inflow is None:
            return None
        self._is_diverted = True
        return _ObservedInflow(inflow, self._observer, self._blamed, self._listen)

    def _listen(self) -> None:
        """Begin to wait for what comes next."""
        self._answers = self.origin.answers

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        try:
            yield
        except UpstreamTimeout as failure:
            self._blame_for_silence(str(failure))
            raise
        except UpstreamDown as failure:
            self.origin.fail(FailureKind.BROKEN_BODY, str(failure))
            raise

    def _blame_for_silence(self, reason: str) -> None:
        """Tell an endpoint that hangs from one that answers others meanwhile: there it is this blob alone."""
        if self.origin.answers == self._answers:
            self.origin.fail(FailureKind.TIMEOUT, reason)
        else:
            self.origin.distrust(self._digest)
            self.origin.fail(FailureKind.BROKEN_BODY, reason)


class _ObservedInflow:
    def __init__(
        self,
        inflow: Inflow,
        observer: Observer,
        blamed: Callable[[], AbstractContextManager[None]],
        listen: Callable[[], None],
    ) -> None:
        self._inflow = inflow
        self._listen = listen
        self._observer = observer
        self._blamed = blamed

    async def ready(self) -> bool:
        self._listen()
        with self._blamed():
            return await self._inflow.ready()

    def read_into(self, buffer: memoryview) -> int:
        count = self._inflow.read_into(buffer)
        self._observer.received(_KIND, count)
        return count


async def head_blob(client: Client, endpoint: Endpoint, repository: str, digest: Digest) -> int | None:
    """Ask by HEAD or, where that is of no use, for the first byte."""
    if endpoint.trusts_head(_KIND):
        try:
            wish = _wish(repository, digest, {}, "HEAD")
            async with client.open(endpoint, wish) as response:
                refuse_page(response.headers, f"{wish} at {endpoint.host}")
                return content_length(response.headers)
        except (NotHere, Refused):
            pass
    wish = _wish(repository, digest, {"Range": range_header(0, 1)})
    async with client.open(endpoint, wish) as response:
        refuse_page(response.headers, f"{wish} at {endpoint.host}")
        _, _, size = _extent(response, str(wish))
        if response.status == 206:
            await read_start(response)
    endpoint.distrust_head(_KIND)
    return size


@asynccontextmanager
async def open_blob(
    client: Client, endpoint: Endpoint, repository: str, digest: Digest, *, start: int, stop: int | None
) -> AsyncIterator[OpenBlob]:
    """Open it from ``start`` on or, where the endpoint answers ranges with nonsense, from its beginning."""
    async with AsyncExitStack() as stack:
        part = _open_part(client, endpoint, repository, digest, start=start, stop=stop)
        try:
            blob = await stack.enter_async_context(part)
        except RangeUnmet:
            whole = _open_part(client, endpoint, repository, digest, start=0, stop=None)
            blob = await stack.enter_async_context(whole)
        yield blob


@asynccontextmanager
async def _open_part(
    client: Client, endpoint: Endpoint, repository: str, digest: Digest, *, start: int, stop: int | None
) -> AsyncIterator[OpenBlob]:
    headers = {"Range": range_header(start, stop)} if start > 0 or stop is not None else {}
    wish = _wish(repository, digest, headers)
    async with client.open(endpoint, wish) as response:
        blob = OpenBlob(response, endpoint, client.observer, wish, digest)
        is_before = blob.stop is not None and blob.stop <= start
        if blob.start != start and (blob.start != 0 or is_before):
            raise RangeUnmet(f"{wish} at {endpoint.host}: asked from {start}, answered from {blob.start}")
        yield blob


def _wish(repository: str, digest: Digest, headers: Mapping[str, str], method: str = "GET") -> Wish:
    return Wish(repository, f"blobs/{digest}", _KIND, BlobNotHere, method, headers)


def _extent(response: Response, what: str) -> tuple[int, int | None, int | None]:
    """Return start, stop and size as the head tells them."""
    if response.status != 206:
        size = content_length(response.headers)
        return 0, size, size
    told = parse_content_range(response.headers.get("content-range", ""))
    if told is None:
        raise RangeUnmet(f"{what}: a part was sent without saying which")
    return told.start, told.stop, told.size
