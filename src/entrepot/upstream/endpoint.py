"""One URL that serves an upstream: its paths, its breaker and its bounded connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from math import inf
from urllib.parse import urlsplit

from entrepot.errors import SettingsInvalid, UpstreamDown
from entrepot.oci.digest import Digest
from entrepot.policy import breaker
from entrepot.policy.breaker import FailureKind, Health
from entrepot.ports.clock import Clock

__all__ = ["Busy", "ConnectionQueue", "Endpoint", "Origin", "host_of", "origin_of"]

Origin = tuple[str, str, int | None]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_QUEUE_DEADLINE = 300.0
_LONGEST_QUEUE = 4096
_DISTRUST_LASTS = 3600.0
_MOST_DISTRUSTED = 1024


class Busy(UpstreamDown):
    """No connection became free in time, or of use: that says nothing new of the endpoint."""


class ConnectionQueue:
    """Gives out a bounded number of places, first come, first served."""

    def __init__(self, host: str, places: int, deadline: float = _QUEUE_DEADLINE) -> None:
        self._host = host
        self._places = asyncio.Semaphore(places)
        self._deadline = deadline
        self.waiting = 0

    @property
    def is_full(self) -> bool:
        return self._places.locked()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Wait for a place and hold it; raise ``Busy`` when the wait or the queue is too long."""
        if self.waiting >= _LONGEST_QUEUE:
            raise Busy(f"{self.waiting} requests to {self._host} are waiting; raise max_connections")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._deadline):
                await self._places.acquire()
        except TimeoutError as error:
            raise Busy(
                f"no connection to {self._host} became free in {self._deadline:g} s; raise max_connections"
            ) from error
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._places.release()


class Endpoint:
    """A path in the URL goes behind ``/v2``, and is part of every repository's name there.

    So ``https://harbor.example/dockerhub`` serves ``/v2/dockerhub/library/alpine/...``.
    """

    def __init__(self, url: str, clock: Clock, max_connections: int) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise SettingsInvalid(f"endpoint {url}: expected an http:// or https:// URL")
        path = parts.path.strip("/")
        self.url = url
        self.host = host_of(url)
        self.origin = origin_of(url)
        self._connections = ConnectionQueue(self.host, max_connections)
        # Downloads last; an eighth of the connections, rounded, is left to what is answered at once.
        self._downloads = ConnectionQueue(self.host, max_connections - (max_connections + 4) // 8)
        self._asked_at: list[float] = []
        self._root = f"{parts.scheme}://{self.host}/v2/"
        self._prefix = path.removeprefix("v2").lstrip("/") if f"{path}/".startswith("v2/") else path
        self._clock = clock
        self._state = breaker.CLOSED
        self._is_known_down = False
        self.last_failure: str | None = None
        """Why it failed when it was last asked; ``None`` since it answered."""
        self.changed: Callable[[str | None], None] = lambda _reason: None
        """Told once why it is left alone from now on, and ``None`` when it answers again."""
        self.answers = 0
        """How many requests it has answered: tells whether it answered any since one looked."""
        self._head_trusted_at: dict[str, float] = {}
        self._blob_trusted_at: dict[Digest, float] = {}

    def name_of(self, repository: str) -> str:
        """Return the name by which this endpoint, and its tokens, know a repository."""
        return f"{self._prefix}/{repository}" if self._prefix and repository else repository

    def own_name_of(self, name: str) -> str | None:
        """Return the repository that goes by a name here, if it can be asked for: undo ``name_of``."""
        prefix = f"{self._prefix}/" if self._prefix else ""
        return name.removeprefix(prefix) if name.startswith(prefix) else None

    def address(self, repository: str, rest: str) -> str:
        """Write the URL of ``rest`` (``manifests/latest``) in a repository; without one, of the registry."""
        return f"{self._root}{self.name_of(repository)}/{rest}" if repository else f"{self._root}{rest}"

    def trusts_head(self, kind: str) -> bool:
        """Tell whether HEAD is of use for a kind of content: it is not for an hour after GET did better."""
        return self._clock.monotonic() >= self._head_trusted_at.get(kind, -inf)

    def distrust_head(self, kind: str) -> None:
        self._head_trusted_at[kind] = self._clock.monotonic() + _DISTRUST_LASTS

    def trusts_blob(self, digest: Digest) -> bool:
        """Tell whether within the last hour it gave no wrong bytes for a blob, nor hung in it alone."""
        return self._clock.monotonic() >= self._blob_trusted_at.get(digest, -inf)

    def distrust(self, digest: Digest) -> None:
        while len(self._blob_trusted_at) >= _MOST_DISTRUSTED:
            del self._blob_trusted_at[next(iter(self._blob_trusted_at))]
        self._blob_trusted_at[digest] = self._clock.monotonic() + _DISTRUST_LASTS

    @property
    def health(self) -> Health:
        return breaker.health(self._state, self._clock.monotonic())

    @property
    def is_worth_asking(self) -> bool:
        """Tell whether who has nothing to fall back on may ask: unless it hangs, or counts too many."""
        if self.health is not Health.DOWN:
            return True
        return not self.is_rate_limited and not self._state.hangs

    @property
    def retry_after(self) -> float:
        """Seconds until it may be asked; 0 if it may be asked now."""
        return breaker.retry_after(self._state, self._clock.monotonic())

    @property
    def is_rate_limited(self) -> bool:
        limited_until = self._state.limited_until
        return limited_until is not None and self._clock.monotonic() < limited_until

    @asynccontextmanager
    async def place(self, *, for_download: bool) -> AsyncIterator[None]:
        """Hold one of its connections; raise ``Busy`` if none becomes free in time.

        Who had to wait may find that those in front failed, and does not wait for the same.
        """
        queues = [self._downloads, self._connections] if for_download else [self._connections]
        is_queued = any(queue.is_full for queue in queues)
        async with AsyncExitStack() as stack:
            for queue in queues:
                await stack.enter_async_context(queue.place())
            if is_queued and not self.is_worth_asking:
                raise Busy(f"{self.host} failed while this request waited for a connection")
            yield

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Note that an answer is being waited for: its head or, where it is small, the whole of it."""
        asked_at = self._clock.monotonic()
        self._asked_at.append(asked_at)
        try:
            yield
        finally:
            self._asked_at.remove(asked_at)

    @property
    def longest_wait(self) -> float:
        """Seconds for which the oldest request that waits for its answer has been waiting; 0 for none."""
        return self._clock.monotonic() - self._asked_at[0] if self._asked_at else 0.0

    @property
    def waiting(self) -> int:
        """How many requests wait for a place."""
        return self._connections.waiting + self._downloads.waiting

    def probe(self) -> None:
        """Note that it is about to be asked: if it is half open, others hold back meanwhile."""
        self._state = breaker.on_probe(self._state, self._clock.monotonic())

    def succeed(self) -> None:
        self.answers += 1
        self._state = breaker.on_success(self._state)
        if not self.is_rate_limited:
            self.last_failure = None
        if self._is_known_down and self.health is Health.UP:
            self._is_known_down = False
            self.changed(None)

    def fail(self, kind: FailureKind, reason: str) -> None:
        self._state = breaker.on_failure(self._state, self._clock.monotonic(), kind)
        self._tell_if_down(reason)

    def limit(self, seconds: float | None, reason: str) -> None:
        """Note a 429 with its Retry-After."""
        self._state = breaker.on_rate_limit(self._state, self._clock.monotonic(), seconds)
        self._tell_if_down(reason)

    def _tell_if_down(self, reason: str) -> None:
        self.last_failure = reason
        if not self._is_known_down and self.health is Health.DOWN:
            self._is_known_down = True
            self.changed(reason)


def host_of(url: str) -> str:
    """Return the host, with its port where one is told, and without a user and a password: it is shown."""
    return urlsplit(url).netloc.rpartition("@")[2]


def origin_of(url: str) -> Origin:
    """Return what must be equal for a credential to be sent: scheme, host and port (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)
