"""A scripted upstream: real HTTP on loopback that counts what it is asked and misbehaves on demand."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from entrepot.testing.ports import free_port
from entrepot.testing.registry_auth import Auth, Open
from entrepot.testing.registry_content import RegistryContent
from entrepot.testing.registry_routes import Behaviour, answer, kind_of, name_in
from entrepot.testing.registry_wire import Answer, Fault, Request, deliver, read_request
from entrepot.testing.waiting import PATIENCE

__all__ = ["FakeRegistry"]

_NO_FAULT = Fault()

T = TypeVar("T")


@dataclass(slots=True)
class _Rule:
    kind: str
    fault: Fault
    method: str | None
    containing: str
    times: int | None

    def takes(self, request: Request) -> bool:
        return (
            self.times != 0
            and self.kind in (request.kind, "any")
            and self.method in (None, request.method)
            and self.containing in request.target
        )


class FakeRegistry:
    """Use as ``async with FakeRegistry() as registry`` or, without a loop, ``with FakeRegistry.in_thread()``.

    A fault applies to requests that get past authentication, so that a fault for one
    time is not spent on a challenge.
    """

    def __init__(
        self,
        content: RegistryContent | None = None,
        *,
        auth: Auth | None = None,
        behaviour: Behaviour | None = None,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self.content = content or RegistryContent()
        self.auth: Auth = auth or Open()
        self.behaviour = behaviour or Behaviour()
        self.port = port
        self.requests: list[Request] = []
        self.open_connections = 0
        self.running_answers = 0
        self.most_running_answers = 0
        self._bytes_sent: Counter[str] = Counter()
        self._tls = tls
        self._rules: list[_Rule] = []
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()

    # What a test reads.

    @property
    def host(self) -> str:
        """Where it listens, as ``127.0.0.1:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def count(self, kind: str | None = None, method: str | None = None, containing: str = "") -> int:
        """Tell how many requests came: of a kind, by a method, with a text in the target."""
        return sum(
            kind in (None, request.kind) and method in (None, request.method) and containing in request.target
            for request in self.requests
        )

    def bytes_sent(self, kind: str | None = None) -> int:
        """Tell how many bytes of bodies went out, of every kind of answer or of one."""
        return self._bytes_sent.total() if kind is None else self._bytes_sent[kind]

    def reset_counts(self) -> None:
        self.requests.clear()
        self._bytes_sent.clear()
        self.most_running_answers = self.running_answers

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds, looked at whenever a request has come or an answer has ended."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    # What a test scripts.

    def misbehave(
        self,
        kind: str,
        fault: Fault,
        *,
        method: str | None = None,
        containing: str = "",
        times: int | None = None,
    ) -> None:
        """Apply ``fault`` to requests of ``kind`` (or ``any``), ``times`` times or until ``behave``.

        The first rule that takes a request and is not used up applies.
        """
        self._rules.append(_Rule(kind, fault, method, containing, times))

    def behave(self) -> None:
        self._rules.clear()

    # Its life.

    async def start(self) -> None:
        """Listen: at first on a free port, after ``stop`` on the same one again."""
        self._loop = asyncio.get_running_loop()
        self.port = self.port or free_port()  # The system would give its own to others after ``stop``.
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port, ssl=self._tls, reuse_address=True, limit=1 << 20
        )

    async def stop(self) -> None:
        """Die: refuse connections, and break those that are open."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        if connections:
            await asyncio.wait(connections)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @classmethod
    @contextmanager
    def in_thread(cls, *arguments: Any, **options: Any) -> Iterator[Self]:
        """Run one in a thread of its own; ``from_thread`` stops, starts and releases it there."""
        registry = cls(*arguments, **options)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="fake registry", daemon=True)
        thread.start()
        try:
            registry._loop = loop
            registry.from_thread(registry.start())
            yield registry
            registry.from_thread(registry.stop())
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(PATIENCE)
            loop.close()

    def from_thread(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``registry.stop()`` or the like in its own loop, from another thread, and wait for it."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    # Its answers.

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.open_connections += 1
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The client left, as clients may.
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self.open_connections -= 1
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await read_request(reader)) is not None:
            request = replace(request, kind=kind_of(request.path))
            self.requests.append(request)
            self._changed.set()
            reply, fault = self._reply_to(request)

            def count(sent: int, kind: str = request.kind) -> None:
                self._bytes_sent[kind] += sent

            self.running_answers += 1
            self.most_running_answers = max(self.most_running_answers, self.running_answers)
            try:
                if not await deliver((reader, writer), request, reply, fault, count):
                    return
            finally:
                self.running_answers -= 1
                self._changed.set()

    def _reply_to(self, request: Request) -> tuple[Answer, Fault]:
        challenge = None
        if request.path.startswith("/v2"):
            challenge = self.auth.challenge(request, self.url, name_in(request.path))
        if challenge is not None:
            return challenge, _NO_FAULT
        fault = self._fault_for(request)
        if request.kind == "token":
            reply = self.auth.token(request)
        else:
            ranges = self.behaviour.ranges and not fault.ignore_range
            reply = answer(request, self.content, self.behaviour, ranges=ranges)
        return fault.apply(reply), fault

    def _fault_for(self, request: Request) -> Fault:
        for rule in self._rules:
            if rule.takes(request):
                if rule.times is not None:
                    rule.times -= 1
                return rule.fault
        return _NO_FAULT
