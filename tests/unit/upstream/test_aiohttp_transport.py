from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from entrepot.errors import SettingsInvalid, UpstreamDown, UpstreamTimeout
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Tag
from entrepot.testing.certificates import Certificate, certify, server_context
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_wire import Fault
from entrepot.upstream.registry import RegistryUpstream
from entrepot.upstream.tls import distrust

Connect = Callable[..., RegistryUpstream]
TAG = Tag("1")


@asynccontextmanager
async def _answering(content: bytes) -> AsyncIterator[str]:
    """Send the same to all who ask; yield host and port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(content)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certify(tmp_path_factory.mktemp("client"), "client")


@pytest.fixture
async def secure(server: Certificate) -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry(tls=server_context(server)) as registry:
        registry.content.add_image("app", "1")
        yield registry


async def test_a_certificate_of_a_listed_authority_is_trusted(
    secure: FakeRegistry, connect: Connect, server: Certificate
) -> None:
    assert await connect(secure.url, ca_file=server.certificate).tags("app") == ["1"]


async def test_a_body_read_late_takes_nothing_from_one_that_has_its_connection_by_now(
    connect: Connect,
) -> None:
    content, told = bytes(6 << 20), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content))
        await told.wait()
        writer.write(content)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        upstream = connect(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        small, large = (upstream.open_blob("app", Digest.of(name)) for name in (b"small", b"large"))
        async with small as first, large as second:
            inflow = second.divert()
            assert inflow is not None
            assert b"".join([chunk async for chunk in first.chunks()]) == b"small"
            told.set()
            received = sum([len(chunk) async for chunk in second.chunks()])
            buffer = memoryview(bytearray(64 << 10))
            while await inflow.ready():
                received += inflow.read_into(buffer)
    assert received == len(content)


async def test_an_unknown_certificate_is_not_trusted_and_the_advice_is_ca_file(
    secure: FakeRegistry, connect: Connect
) -> None:
    with pytest.raises(UpstreamDown, match=r"set ca_file .*: self-signed certificate$"):
        await connect(secure.url).tags("app")


async def test_a_certificate_of_another_name_is_told_from_an_unknown_one(
    tmp_path: Path, connect: Connect
) -> None:
    other = certify(tmp_path, "other", of="DNS:elsewhere.test")
    async with FakeRegistry(tls=server_context(other)) as registry:
        with pytest.raises(UpstreamDown, match="is of another name"):
            await connect(registry.url, ca_file=other.certificate).tags("app")


def test_a_certificate_whose_time_is_over_is_told_from_an_unknown_one() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = 10
    assert "has expired" in distrust("registry.test", error)


async def test_any_certificate_will_do_where_verification_is_off(
    secure: FakeRegistry, connect: Connect
) -> None:
    assert await connect(secure.url, insecure_skip_verify=True).tags("app") == ["1"]


async def test_a_client_certificate_is_shown_to_the_endpoint_alone(
    connect: Connect, server: Certificate, client: Certificate
) -> None:
    demanding = server_context(server)
    demanding.verify_mode = ssl.CERT_REQUIRED
    demanding.load_verify_locations(client.certificate)
    files = {"ca_file": server.certificate, "client_cert": client.certificate, "client_key": client.key}
    async with FakeRegistry(tls=demanding) as registry, FakeRegistry(registry.content, tls=demanding) as cdn:
        registry.content.add_image("app", "1", layers=[b"layer"])
        upstream = connect(registry.url, **files)
        assert await upstream.tags("app") == ["1"]
        registry.behaviour.blob_redirect = cdn.url
        with pytest.raises(UpstreamDown):
            await upstream.head_blob("app", Digest.of(b"layer"))


@pytest.mark.parametrize(
    "files", [{"ca_file": "absent.pem"}, {"ca_file": __file__}, {"client_cert": "absent.pem"}, {"client_cert": __file__}]
)  # fmt: skip
def test_files_that_are_of_no_use_are_found_at_once(connect: Connect, files: dict[str, str]) -> None:
    with pytest.raises(SettingsInvalid, match=re.escape(next(iter(files.values())))):
        connect("https://registry.invalid", **files)


async def test_a_proxy_is_used_where_one_is_set(registry: FakeRegistry, connect: Connect) -> None:
    registry.content.add_image("app", "1")
    assert await connect("http://registry.invalid", proxy=registry.url).tags("app") == ["1"]
    assert registry.requests[0].target.startswith("http://registry.invalid/v2/")


async def test_proxies_of_the_environment_are_not_used(
    registry: FakeRegistry, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    registry.content.add_image("app", "1")
    assert await connect(registry.url).tags("app") == ["1"]


@pytest.mark.parametrize(
    ("url", "settings", "message"),
    [
        ("http://registry.invalid", {}, "does not resolve"),
        ("http://Registry.invalid:80", {}, "the name of Registry.invalid:80 does not resolve"),
        ("http://127.0.0.1:1", {}, "accepts no connections: Connection refused; check that it runs"),
        (
            "http://registry.invalid",
            {"proxy": "http://127.0.0.1:1"},
            "the proxy on the way .* accepts no connections: Connection refused; check",
        ),
        (
            "http://127.0.0.1:1",
            {"proxy": "http://proxy.invalid:3128"},
            "the name of the proxy on the way to 127.0.0.1:1 does not resolve; check the proxy setting",
        ),
    ],
)
async def test_what_cannot_be_reached_is_down_and_told_why(
    connect: Connect, url: str, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(UpstreamDown, match=message):
        await connect(url, **settings).tags("app")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_another_password_is_told_without_showing_it(
    connect: Connect, scheme: str
) -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with _answering(refusal) as address:
        proxy = f"http://me:hunter2@{address}"
        with pytest.raises(UpstreamDown) as failed:
            await connect(f"{scheme}://registry.test", proxy=proxy).tags("app")
    assert re.search("answer 407; .*the proxy setting of this upstream", str(failed.value))
    assert "hunter2" not in str(failed.value)


async def test_what_is_no_http_is_told_without_the_url(connect: Connect) -> None:
    async with _answering(b"220 mail.test ESMTP\r\n\r\n") as address:
        with pytest.raises(UpstreamDown, match="does not speak proper HTTP: ") as failed:
            await connect(f"http://{address}").tags("app")
    assert "http://" not in str(failed.value)


async def test_tls_with_a_registry_that_speaks_none_is_down(connect: Connect) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(
            UpstreamDown, match=r"^TLS with [\d.:]+ failed: [a-z0-9 ]+; is it an http:// endpoint\?$"
        ):
            await connect(f"https://127.0.0.1:{port}").tags("app")


async def test_what_came_before_a_break_is_received_though_it_is_read_after(connect: Connect) -> None:
    is_broken = asyncio.Event()
    received = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbefore")
        writer.write_eof()
        await reader.read()  # To the end: by then the client has given the connection up.
        is_broken.set()
        writer.close()

    async def download(url: str) -> None:
        async with connect(url).open_blob("app", Digest.of(b"before it")) as blob:
            await is_broken.wait()
            async for chunk in blob.chunks():
                received.extend(chunk)

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UpstreamDown, match="too early"):
            await download(f"http://127.0.0.1:{port}")
    assert received == b"before"


async def test_nobody_is_dialled_before_the_first_request(registry: FakeRegistry, connect: Connect) -> None:
    await connect(registry.url).close()
    assert registry.open_connections == 0


async def test_connections_are_used_again_after_answers_of_every_kind(
    registry: FakeRegistry, connect: Connect
) -> None:
    image = registry.content.add_image("app", "1")
    upstream = connect(registry.url)
    registry.misbehave("manifest", Fault(status=404), method="HEAD")
    for _ in range(3):
        await upstream.head_manifest("app", TAG)
        await upstream.get_manifest("app", image.digest)
        await upstream.head_blob("app", image.config)
        await upstream.referrers("app", image.digest)
    assert registry.open_connections == 1


async def test_a_message_names_the_host_and_the_wait(registry: FakeRegistry, connect: Connect) -> None:
    registry.misbehave("tags", Fault(hang_before_head=True))
    with pytest.raises(UpstreamTimeout, match=f"{registry.host} sent no answer within 0.05 s"):
        await connect(registry.url, patience=0.05).tags("app")
