from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from entrepot.config.secret import Secret
from entrepot.errors import RateLimited, Refused, UpstreamDown, UpstreamLoops
from entrepot.oci.reference import Tag
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_auth import BasicAuth, BearerAuth, Open
from entrepot.testing.registry_content import Image
from entrepot.testing.registry_wire import Answer, Fault, Request
from entrepot.testing.virtual_clock import VirtualClock
from entrepot.upstream.registry import RegistryUpstream

Connect = Callable[..., RegistryUpstream]
TAG = Tag("1")
USERS = {"robot": "s3cret"}
ROBOT = {"username": "robot", "password": Secret("s3cret")}


class _BearerOrBasic(BearerAuth):
    def challenge(self, request: Request, base_url: str, repository: str | None, /) -> Answer | None:
        answer = BearerAuth.challenge(self, request, base_url, repository)
        if answer is None:
            return None
        return replace(
            answer, headers={"WWW-Authenticate": 'Basic realm="x", ' + answer.headers["WWW-Authenticate"]}
        )


class _OneTokenForAll(Open):
    def token(self, _request: Request, /) -> Answer:
        return Answer(200, {}, b'{"token":"t"}')


@pytest.fixture
def image(registry: FakeRegistry) -> Image:
    registry.content.add_image("library/other", "1")
    return registry.content.add_image("library/app", "1", layers=[b"one", b"two", b"three"])


async def _pull(upstream: RegistryUpstream, image: Image) -> None:
    """Ask as a client does: for the index, a manifest, the config and the layers."""
    await upstream.get_manifest("library/app", TAG)
    await upstream.get_manifest("library/app", image.digest)

    async def download(index: int) -> None:
        async with upstream.open_blob("library/app", (image.config, *image.layers)[index]) as blob:
            async for _ in blob.chunks():
                pass

    async with asyncio.TaskGroup() as group:
        for index in range(1 + len(image.layers)):
            group.create_task(download(index))


@pytest.mark.parametrize("settings", [{}, ROBOT], ids=["stranger", "robot"])
async def test_a_first_pull_costs_at_most_five_requests_more_than_its_layers(
    registry: FakeRegistry, connect: Connect, image: Image, settings: dict[str, str]
) -> None:
    registry.auth = BearerAuth(USERS)
    await _pull(connect(registry.url, **settings), image)
    assert registry.count() <= len(image.layers) + 5
    assert registry.count("token") == 1


async def test_a_challenge_is_learnt_for_all_repositories(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = BearerAuth()
    upstream = connect(registry.url)
    await upstream.get_manifest("library/app", TAG)
    registry.reset_counts()
    await upstream.get_manifest("library/other", TAG)
    assert [request.kind for request in registry.requests] == ["token", "manifest"]
    assert registry.requests[0].query == {"service": "fake", "scope": "repository:library/other:pull"}


async def test_a_scope_that_names_no_repository_stays_as_it_is(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    """public.ecr.aws asks for ``scope="aws"``, whatever the repository."""
    challenge = f'Bearer realm="{registry.url}/token",service="ecr",scope="aws"'
    registry.misbehave("manifest", Fault(status=401, headers={"WWW-Authenticate": challenge}), times=1)
    registry.auth = _OneTokenForAll()
    upstream = connect(registry.url)
    await upstream.get_manifest("library/app", TAG)
    await upstream.get_manifest("library/other", TAG)
    assert [request.query["scope"] for request in registry.requests if request.kind == "token"] == ["aws"]


async def test_a_scope_within_the_realm_is_made_that_of_each_repository(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    """nvcr.io sends callers to ``realm="https://nvcr.io/proxy_auth?scope=repository:nvidia/cuda:pull"``."""
    challenge = f'Bearer realm="{registry.url}/token?scope=repository:library/app:pull"'
    registry.misbehave("manifest", Fault(status=401, headers={"WWW-Authenticate": challenge}), times=1)
    registry.auth = _OneTokenForAll()
    upstream = connect(registry.url)
    await upstream.get_manifest("library/app", TAG)
    await upstream.get_manifest("library/other", TAG)
    asked = [request.query["scope"] for request in registry.requests if request.kind == "token"]
    assert asked == ["repository:library/app:pull", "repository:library/other:pull"]


async def test_fifty_askers_share_one_token(registry: FakeRegistry, connect: Connect, image: Image) -> None:
    registry.auth = BearerAuth()
    upstream = connect(registry.url)
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(upstream.get_manifest("library/app", TAG))
    assert registry.count("token") == 1


async def test_an_asker_that_leaves_takes_no_token_from_the_others(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = BearerAuth()
    hold = asyncio.Event()
    registry.misbehave("token", Fault(hang_before_head=True, hold=hold), times=1)
    upstream = connect(registry.url)
    first = asyncio.create_task(upstream.get_manifest("library/app", TAG))
    await registry.until(lambda: registry.count("token") == 1)
    second = asyncio.create_task(upstream.get_manifest("library/app", TAG))
    await asyncio.sleep(0)
    first.cancel()
    hold.set()
    assert (await second).digest == image.digest
    assert registry.count("token") == 1
    with pytest.raises(asyncio.CancelledError):
        await first


@pytest.mark.parametrize(("told", "kept"), [(300, 270), (None, 54)])
async def test_a_token_is_kept_until_shortly_before_it_expires(
    image: Image,
    registry: FakeRegistry,
    connect: Connect,
    clock: VirtualClock,
    *,
    told: int | None,
    kept: int,
) -> None:
    registry.auth = BearerAuth(expires_in=told)
    upstream = connect(registry.url)
    await upstream.get_manifest("library/app", TAG)
    clock.advance(kept - 1)
    await upstream.get_manifest("library/app", TAG)
    assert registry.count("token") == 1
    clock.advance(2)
    assert (await upstream.get_manifest("library/app", TAG)).digest == image.digest
    assert registry.count("token") == 2


async def test_a_token_that_expired_early_is_replaced_once_for_all(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = auth = BearerAuth()
    upstream = connect(registry.url)
    await upstream.get_manifest("library/app", TAG)
    auth.expire()
    registry.reset_counts()
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(upstream.get_manifest("library/app", TAG))
    assert registry.count("token") == 1


async def test_a_registry_that_takes_no_token_is_asked_twice_only(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = BearerAuth()
    registry.misbehave("token", Fault(body=b'{"token":"stale"}'))
    with pytest.raises(Refused, match="username and password"):
        await connect(registry.url).get_manifest("library/app", TAG)
    assert registry.count("manifest") == 2


@pytest.mark.parametrize("methods", [("GET",), ("POST",), ("GET", "POST")])
async def test_a_password_buys_a_token_by_get_or_by_post(
    registry: FakeRegistry, connect: Connect, image: Image, methods: tuple[str, ...]
) -> None:
    registry.auth = BearerAuth(USERS, anonymous=False, methods=methods)
    fetched = await connect(registry.url, **ROBOT).get_manifest("library/app", TAG)
    assert fetched.digest == image.digest


async def test_an_identity_token_buys_a_token_by_post(
    registry: FakeRegistry, connect: Connect, image: Image, tmp_path: Path
) -> None:
    registry.auth = BearerAuth(anonymous=False, methods=("POST",), identity_tokens=("refresh",))
    config = tmp_path / "config.json"
    config.write_text('{"auths":{"fake.test":{"identitytoken":"refresh"}}}')
    fetched = await connect(registry.url, docker_config=str(config)).get_manifest("library/app", TAG)
    assert fetched.digest == image.digest
    assert registry.count("token", "POST") == 1


async def test_a_wrong_password_is_refused_with_advice(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = BearerAuth(USERS)
    with pytest.raises(Refused, match="check username and password"):
        await connect(registry.url, username="robot", password=Secret("guess")).get_manifest(
            "library/app", TAG
        )


async def test_strangers_are_told_to_set_a_credential(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    for auth in (BearerAuth(USERS, anonymous=False), BasicAuth(USERS)):
        registry.auth = auth
        with pytest.raises(Refused, match="set username and password"):
            await connect(registry.url).get_manifest("library/app", TAG)


async def test_basic_is_learnt_and_sent_at_once_afterwards(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = BasicAuth(USERS)
    upstream = connect(registry.url, **ROBOT)
    await upstream.get_manifest("library/app", TAG)
    await upstream.get_manifest("library/other", TAG)
    assert registry.count() == 3


async def test_a_wrong_basic_password_is_sent_once(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = BasicAuth(USERS)
    with pytest.raises(Refused, match="the configured credential may not read it"):
        await connect(registry.url, username="robot", password=Secret("guess")).get_manifest(
            "library/app", TAG
        )
    assert registry.count() == 2


@pytest.mark.parametrize("challenge", ["", "Negotiate", "Bearer", 'Bearer realm="ftp://x"', "\u00ff,,="])
async def test_a_challenge_that_cannot_be_answered_is_a_refusal(
    registry: FakeRegistry, connect: Connect, image: Image, challenge: str
) -> None:
    registry.misbehave("manifest", Fault(status=401, headers={"WWW-Authenticate": challenge}))
    with pytest.raises(Refused):
        await connect(registry.url, **ROBOT).get_manifest("library/app", TAG)


async def test_a_registry_that_knows_bearer_and_basic_gets_a_token(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = _BearerOrBasic(USERS)
    await connect(registry.url, **ROBOT).get_manifest("library/app", TAG)
    assert registry.requests[-1].headers["authorization"].startswith("Bearer ")


async def test_a_token_service_that_is_named_by_its_path_is_the_registrys_own(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = BearerAuth(USERS, anonymous=False, realm="/token")
    await connect(registry.url, **ROBOT).get_manifest("library/app", TAG)
    assert registry.count("token") == 1


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (Fault(body=b"nonsense"), UpstreamDown),
        (Fault(body=b"[]"), UpstreamDown),
        (Fault(body=b"{}"), UpstreamDown),
        (Fault(body=b'{"token":""}'), UpstreamDown),
        (Fault(body=b'{"token":7}'), UpstreamDown),
        (Fault(body=b'{"token":"a\\r\\nX: y"}'), UpstreamDown),
        (Fault(status=500), UpstreamDown),
        (Fault(status=302, headers={"Location": "http://127.0.0.1:1/"}), UpstreamDown),
        (Fault(status=429, headers={"Retry-After": "60"}), RateLimited),
        (Fault(raw=b""), UpstreamDown),
    ],
)  # fmt: skip
async def test_a_token_service_that_fails_is_a_failure_with_a_name(
    registry: FakeRegistry, connect: Connect, image: Image, fault: Fault, failure: type[Exception]
) -> None:
    registry.auth = BearerAuth(USERS)
    registry.misbehave("token", fault)
    with pytest.raises(failure):
        await connect(registry.url, **ROBOT).get_manifest("library/app", TAG)


@pytest.mark.parametrize(("host", "settings"), [("localhost", {}), ("127.0.0.1", {}), ("127.0.0.1", ROBOT)])
async def test_a_token_service_may_have_moved(
    registry: FakeRegistry, connect: Connect, image: Image, host: str, settings: dict[str, object]
) -> None:
    registry.auth = BearerAuth(USERS, anonymous=not settings, realm=f"{registry.url}/old")
    moved = f"http://{host}:{registry.port}/token?scope=repository:library/app:pull"
    registry.misbehave("other", Fault(status=301, headers={"Location": moved}))
    assert (await connect(registry.url, **settings).get_manifest("library/app", TAG)).digest == image.digest


async def test_a_credential_does_not_follow_a_token_service_elsewhere(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = BearerAuth(USERS)
    moved = f"http://localhost:{registry.port}/other"
    registry.misbehave("token", Fault(status=307, headers={"Location": moved}))
    with pytest.raises(UpstreamDown, match=r"redirects to localhost:\d+, where no credential is sent"):
        await connect(registry.url, **ROBOT).get_manifest("library/app", TAG)
    assert registry.count("other") == 0


async def test_a_token_service_that_redirects_in_a_circle_is_a_failure(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = BearerAuth(USERS)
    registry.misbehave("token", Fault(status=307, headers={"Location": "/token"}))
    with pytest.raises(UpstreamLoops, match=r"the token service 127.+ redirects in a circle"):
        await connect(registry.url).get_manifest("library/app", TAG)
    assert registry.count("token") == 2


@pytest.mark.parametrize("life", ["-5", "0", '"soon"', "null", "1e300"])
async def test_a_strange_life_of_a_token_does_no_harm(
    registry: FakeRegistry, connect: Connect, image: Image, life: str
) -> None:
    registry.auth = BearerAuth(scopes={"t": "repository:library/app:pull"})
    registry.misbehave("token", Fault(body=f'{{"token":"t","expires_in":{life}}}'.encode()))
    fetched = await connect(registry.url).get_manifest("library/app", TAG)
    assert fetched.digest == image.digest


async def test_a_credential_is_not_sent_to_a_realm_elsewhere(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = BearerAuth(USERS, realm=f"http://localhost:{registry.port}/token")
    await connect(registry.url, **ROBOT).get_manifest("library/app", TAG)
    token_requests = [request for request in registry.requests if request.kind == "token"]
    assert ["authorization" in request.headers for request in token_requests] == [False]


async def test_the_advice_is_to_list_the_realm_elsewhere(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = BearerAuth(USERS, anonymous=False, realm=f"http://localhost:{registry.port}/token")
    with pytest.raises(Refused, match=r"add localhost:\d+ to token_hosts"):
        await connect(registry.url, **ROBOT).get_manifest("library/app", TAG)


async def test_a_listed_realm_is_sent_the_credential(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    registry.auth = BearerAuth(USERS, anonymous=False, realm=f"http://localhost:{registry.port}/token")
    upstream = connect(registry.url, token_hosts=("localhost",), **ROBOT)
    assert (await upstream.get_manifest("library/app", TAG)).digest == image.digest


@pytest.mark.parametrize("auth", [BearerAuth(USERS), BasicAuth(USERS)], ids=["bearer", "basic"])
async def test_a_redirect_to_another_host_is_followed_without_the_credential(
    registry: FakeRegistry, connect: Connect, image: Image, auth: BearerAuth | BasicAuth
) -> None:
    registry.auth = auth
    async with FakeRegistry(registry.content) as cdn:
        registry.behaviour.blob_redirect = cdn.url
        await _pull(connect(registry.url, **ROBOT), image)
    assert cdn.count("blob") == 1 + len(image.layers)
    assert not any("authorization" in request.headers for request in cdn.requests)


async def test_a_challenge_behind_a_redirect_is_not_answered(
    registry: FakeRegistry, connect: Connect, image: Image
) -> None:
    async with FakeRegistry(registry.content, auth=BasicAuth(USERS)) as thief:
        registry.misbehave(
            "manifest", Fault(status=307, headers={"Location": f"{thief.url}/v2/library/app/manifests/1"})
        )
        with pytest.raises(UpstreamDown):
            await connect(registry.url, **ROBOT).get_manifest("library/app", TAG)
    assert not any("authorization" in request.headers for request in thief.requests)
