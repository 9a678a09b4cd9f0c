from __future__ import annotations

from collections.abc import Callable

import pytest

from entrepot.config.secret import Secret
from entrepot.errors import Refused, UpstreamDown
from entrepot.oci.reference import Tag
from entrepot.policy.breaker import Health
from entrepot.ports.condition import CredentialStanding, Outcome
from entrepot.testing.fake_registry import FakeRegistry
from entrepot.testing.registry_auth import Auth, BasicAuth, BearerAuth
from entrepot.testing.registry_wire import Fault
from entrepot.upstream.registry import RegistryUpstream

Connect = Callable[..., RegistryUpstream]
RIGHT = {"username": "me", "password": Secret("right")}
WRONG = {"username": "me", "password": Secret("wrong")}
AUTHS: list[Auth] = [BasicAuth({"me": "right"}), BearerAuth({"me": "right"}, anonymous=False)]


async def test_an_endpoint_that_answers_is_fine(registry: FakeRegistry, connect: Connect) -> None:
    (trial,) = await connect(registry.url).try_out()
    assert (trial.url, trial.outcome, trial.reason) == (registry.url, Outcome.OK, None)
    assert [request.path for request in registry.requests] == ["/v2/"]


async def test_each_endpoint_is_asked_whatever_the_others_answer(
    registry: FakeRegistry, connect: Connect
) -> None:
    registry.misbehave("ping", Fault(status=500))
    trials = await connect("http://127.0.0.1:9", registry.url).try_out()
    assert [trial.outcome for trial in trials] == [Outcome.ERROR, Outcome.ERROR]
    assert "500" in (trials[1].reason or "")


@pytest.mark.parametrize(
    ("url", "is_cut_off"), [("http://registry.invalid", True), ("http://127.0.0.1:9", False)]
)
async def test_nobody_to_ask_is_told_apart_from_somebody_who_refuses(
    connect: Connect, url: str, *, is_cut_off: bool
) -> None:
    (trial,) = await connect(url).try_out()
    assert (trial.outcome, trial.is_cut_off) == (Outcome.ERROR, is_cut_off)


@pytest.mark.parametrize("auth", AUTHS, ids=["Basic", "Bearer"])
async def test_a_credential_is_accepted_or_refused(
    registry: FakeRegistry, connect: Connect, auth: Auth
) -> None:
    registry.auth = auth
    right, wrong = connect(registry.url, **RIGHT), connect(registry.url, **WRONG)
    assert right.condition().credential is CredentialStanding.UNTRIED
    assert [trial.outcome for trial in await right.try_out()] == [Outcome.OK]
    assert right.condition().credential is CredentialStanding.ACCEPTED
    (trial,) = await wrong.try_out()
    assert (trial.outcome, wrong.condition().credential) == (Outcome.REFUSED, CredentialStanding.REFUSED)
    assert "(401)" in (wrong.condition().refusal or "")


async def test_a_trial_asks_for_a_token_of_its_own(registry: FakeRegistry, connect: Connect) -> None:
    auth = registry.auth = BearerAuth({"me": "right"}, anonymous=False)
    registry.content.add_image("app", "1")
    upstream = connect(registry.url, **RIGHT)
    await upstream.get_manifest("app", Tag("1"))
    auth.users = {"me": "changed"}
    assert [trial.outcome for trial in await upstream.try_out()] == [Outcome.REFUSED]


async def test_strangers_who_are_refused_know_that_it_answers(
    registry: FakeRegistry, connect: Connect
) -> None:
    registry.auth = BearerAuth(anonymous=False)
    upstream = connect(registry.url)
    assert [(trial.outcome, trial.reason) for trial in await upstream.try_out()] == [(Outcome.OK, None)]
    assert upstream.condition().credential is CredentialStanding.NONE


async def test_strangers_who_are_asked_for_a_user_are_told(registry: FakeRegistry, connect: Connect) -> None:
    registry.auth = BasicAuth({"me": "right"})
    (trial,) = await connect(registry.url).try_out()
    assert trial.outcome is Outcome.OK
    assert str(trial.reason).endswith(" asks for a user; set username and password of this upstream")


async def test_a_pull_tells_of_the_credential_too(registry: FakeRegistry, connect: Connect) -> None:
    registry.auth = BasicAuth({"me": "right"})
    upstream = connect(registry.url, **WRONG)
    with pytest.raises(Refused):
        await upstream.get_manifest("app", Tag("1"))
    assert upstream.condition().credential is CredentialStanding.REFUSED


async def test_an_endpoint_that_was_left_alone_is_trusted_again_when_it_answers(
    registry: FakeRegistry, connect: Connect
) -> None:
    registry.misbehave("manifest", Fault(status=500), times=9)
    upstream = connect(registry.url)
    while upstream.breaker.health() is Health.UP:
        with pytest.raises(UpstreamDown):
            await upstream.get_manifest("app", Tag("1"))
    (left_alone,) = upstream.condition().endpoints
    assert (left_alone.health, left_alone.retry_after > 0) == (Health.DOWN, True)
    assert "500" in (left_alone.last_failure or "")
    await upstream.try_out()
    (trusted,) = upstream.condition().endpoints
    assert (trusted.health, trusted.last_failure) == (Health.UP, None)


async def test_what_a_trial_finds_counts_as_any_answer_does(registry: FakeRegistry, connect: Connect) -> None:
    registry.misbehave("ping", Fault(status=500))
    upstream = connect(registry.url)
    await upstream.try_out()
    (failed,) = upstream.condition().endpoints
    assert (failed.health, "500" in (failed.last_failure or "")) == (Health.UP, True)
    while upstream.breaker.health() is Health.UP:
        await upstream.try_out()
    registry.behave()
    await upstream.try_out()
    (trusted,) = upstream.condition().endpoints
    assert (trusted.health, trusted.last_failure) == (Health.UP, None)


async def test_the_budget_is_what_the_last_answer_told(registry: FakeRegistry, connect: Connect) -> None:
    registry.content.add_image("app", "1")
    upstream = connect(registry.url)
    assert upstream.condition().budget is None
    registry.behaviour.headers = {"RateLimit-Limit": "100;w=600", "RateLimit-Remaining": "7;w=600"}
    await upstream.get_manifest("app", Tag("1"))
    budget = upstream.condition().budget
    assert budget is not None
    assert (budget.limit, budget.remaining, budget.resets_by) == (100, 7, budget.told_at + 600)
