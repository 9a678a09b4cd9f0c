from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from entrepot.errors import UpstreamDown
from entrepot.oci.reference import Tag
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.waiting import PATIENCE, until
from entrepot.upstream.registry import RegistryUpstream
from entrepot.upstream.resolver import Resolver

SILENT = 40  # More than any pool of threads that others use has.


class Names:
    """Of the system, but that nobody answers for names under ``silent.test`` before ``answer``."""

    def __init__(self) -> None:
        self._asked = socket.getaddrinfo
        self._answer = threading.Event()
        self.waiting: list[threading.Thread] = []

    def __call__(self, host: str, *arguments: Any, **options: Any) -> Any:
        if host.endswith(".silent.test"):
            self.waiting.append(threading.current_thread())
            self._answer.wait(PATIENCE)
            raise socket.gaierror(socket.EAI_AGAIN, "nobody answers")
        return self._asked(host, *arguments, **options)

    def answer(self) -> None:
        self._answer.set()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names)
    return names


@asynccontextmanager
async def _waiting_for_names(names: Names) -> AsyncIterator[list[asyncio.Task[Any]]]:
    tasks = [
        asyncio.create_task(Resolver().resolve(f"{number}.silent.test", 443)) for number in range(SILENT)
    ]
    try:
        await until(lambda: len(names.waiting) == SILENT, "all of them wait")
        yield tasks
    finally:
        names.answer()
        await asyncio.wait(tasks)


async def test_names_that_nobody_answers_for_hold_up_no_other_upstream(
    names: Names, registry: FakeRegistry, connect: Callable[..., RegistryUpstream]
) -> None:
    image = registry.content.add_image("app", "1")
    upstream = connect(registry.url.replace("127.0.0.1", "localhost"))
    async with _waiting_for_names(names), asyncio.timeout(PATIENCE / 2):
        assert (await upstream.get_manifest("app", Tag("1"))).digest == image.digest
        assert await asyncio.to_thread(lambda: "other work") == "other work"


async def test_an_upstream_looks_up_names_in_threads_of_their_own(
    names: Names, connect: Callable[..., RegistryUpstream]
) -> None:
    asking = asyncio.create_task(connect("http://some.silent.test").get_manifest("app", Tag("1")))
    try:
        await until(lambda: bool(names.waiting), "it waits for the name")
        assert names.waiting[0].name == "look up some.silent.test"
    finally:
        names.answer()
        asking.cancel()
        await asyncio.wait([asking])


async def test_the_end_of_the_process_waits_for_no_name(names: Names) -> None:
    async with _waiting_for_names(names):
        assert all(thread.daemon for thread in names.waiting)


async def test_a_look_up_whose_asker_is_gone_does_no_harm_when_it_ends(names: Names) -> None:
    async with _waiting_for_names(names) as tasks:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for thread in names.waiting:
        thread.join(PATIENCE)


async def test_what_does_not_resolve_is_told(names: Names, connect: Callable[..., RegistryUpstream]) -> None:
    names.answer()
    with pytest.raises(UpstreamDown, match="does not resolve"):
        await connect("http://some.silent.test").get_manifest("app", Tag("1"))


async def test_all_addresses_of_a_host_are_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(_host: str, port: int, *_: Any, **__: Any) -> Any:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    found = await Resolver().resolve("both.test", 443)
    assert [(each["host"], each["port"], each["family"]) for each in found] == [
        ("::1", 443, socket.AF_INET6),
        ("127.0.0.1", 443, socket.AF_INET),
    ]
