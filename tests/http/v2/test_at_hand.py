"""What the server may give again by itself, and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from ipaddress import ip_network
from typing import Any

import pytest
from tests.http.v2.conftest import House, Reply

from entrepot.audit.trail import AuditTrail
from entrepot.config.schema import AuditSettings
from entrepot.http import face, given_again
from entrepot.http.server.asgi import AtHand
from entrepot.oci.digest import Digest
from entrepot.oci.reference import Repository, Tag
from entrepot.policy.freshness import Freshness
from entrepot.policy.proxies import TrustedProxies
from entrepot.telemetry.lines import LineWriter
from entrepot.telemetry.trace import Span, Tracing
from entrepot.testing.waiting import until

CONTENT = b'{"schemaVersion":2}'
DIGEST = Digest.of(CONTENT)
OTHER_CONTENT = b'{"schemaVersion":2,"layers":[]}'
OTHER_DIGEST = Digest.of(OTHER_CONTENT)
DEMO = Repository("docker.io", "library/demo")
TAG = "/v2/library/demo/manifests/latest"
BY_DIGEST = f"/v2/library/demo/manifests/{DIGEST}"


@dataclass
class Offered(Reply):
    """A reply of a server that can give it again; ``answer`` is what it was offered to do so."""

    answer: AtHand | None = None
    held: bytes = b""

    async def take(self, message: Any) -> None:
        if message["type"] == "entrepot.at_hand":
            self.answer, self.held = message["answer"], message["body"]
        else:
            await super().take(message)


async def ask(house: House, path: str, method: str = "GET", **headers: str) -> Offered:
    reply = Offered()
    await house.call(path, method, reply=reply, extensions={"entrepot.at_hand": {}}, **headers)
    return reply


async def at_hand(house: House, path: str = TAG, **headers: str) -> AtHand:
    """Ask until there is something at hand: what was just fetched is not."""
    await ask(house, path, **headers)
    reply = await ask(house, path, **headers)
    assert (reply.status, reply.held) == (200, CONTENT)
    assert reply.answer is not None
    return reply.answer


@pytest.fixture
def published(house: House) -> House:
    house.upstream.manifests["library/demo", "latest"] = CONTENT
    return house


@pytest.mark.parametrize("path", [TAG, BY_DIGEST])
async def test_a_hit_may_be_given_again(published: House, path: str) -> None:
    assert (await ask(published, path)).answer is None
    hit = await ask(published, path)
    assert hit.answer is not None
    assert hit.answer.begin() is not None


async def test_nothing_is_at_hand_of_another_answer(published: House) -> None:
    await at_hand(published)
    assert (await ask(published, TAG, if_none_match=f'"{DIGEST}"')).answer is None
    assert (await ask(published, "/v2/library/demo/manifests/gone")).answer is None
    assert (await ask(published, "/v2/")).answer is None
    assert (await ask(published, TAG, traceparent=f"00-{'1' * 32}-{'2' * 16}-01")).answer is None


async def test_a_server_that_cannot_give_it_again_is_not_bothered(published: House) -> None:
    for _ in range(2):
        assert (await published.call(TAG)).body == CONTENT  # The reply fails on what it does not know.


async def test_a_tag_is_given_again_while_it_is_fresh(published: House) -> None:
    answer = await at_hand(published)
    published.clock.advance(29)
    assert answer.begin() is not None
    published.clock.advance(1)
    assert answer.begin() is None


async def test_a_digest_is_given_again_for_ever(published: House) -> None:
    answer = await at_hand(published, BY_DIGEST)
    published.clock.advance(1e9)
    assert answer.begin() is not None


async def test_a_clock_that_is_set_back_does_not_make_it_fresher(published: House) -> None:
    answer = await at_hand(published)
    published.clock.advance(-3600)
    assert answer.begin() is None


async def _refresh(house: House) -> None:
    await house.manifests.refresh(DEMO, Tag("latest"))


async def _purge_tag(house: House) -> None:
    house.manifests.forget([(DEMO, "latest")], [])


async def _purge_manifest(house: House) -> None:
    house.manifests.forget_everywhere({DIGEST})


async def _reload(house: House) -> None:
    house.believe(Freshness(fresh_for=3600))


@pytest.mark.parametrize("change", [_refresh, _purge_tag, _purge_manifest, _reload])
@pytest.mark.parametrize("path", [TAG, BY_DIGEST])
async def test_what_changes_an_answer_ends_it(
    published: House, path: str, change: Callable[[House], Any]
) -> None:
    answer = await at_hand(published, path)
    assert answer.begin() is not None
    await change(published)
    assert answer.begin() is None
    assert (await at_hand(published, path)).begin() is not None


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_tag_that_means_another_thing_by_now_is_not_given_again(
    published: House, method: str
) -> None:
    answer = await at_hand(published)
    published.upstream.manifests["library/demo", "latest"] = OTHER_CONTENT
    published.clock.advance(-3600)
    assert (await ask(published, TAG, method)).headers["docker-content-digest"] == str(OTHER_DIGEST)
    published.clock.advance(3600)
    assert answer.begin() is None


async def test_a_tag_that_still_means_the_same_ends_nothing_else(published: House) -> None:
    await ask(published, TAG)
    answer = await at_hand(published, BY_DIGEST)
    published.clock.advance(31)
    asked = len(published.upstream.asked)
    await ask(published, TAG)
    assert len(published.upstream.asked) > asked
    assert answer.begin() is not None


async def test_a_refresh_that_nobody_waits_for_any_more_ends_it_when_it_is_done(published: House) -> None:
    await at_hand(published)
    published.upstream.gate.clear()
    refresh = asyncio.create_task(published.manifests.refresh(DEMO, Tag("latest")))
    await until(lambda: len(published.upstream.asked) == 2, "it asks")
    refresh.cancel()
    await asyncio.wait([refresh])
    answer = await at_hand(published)
    published.upstream.manifests["library/demo", "latest"] = OTHER_CONTENT
    published.upstream.gate.set()
    await until(lambda: answer.begin() is None, "its end")
    assert (await ask(published, TAG)).body == OTHER_CONTENT


@dataclass
class Slow(Offered):
    """One whose client takes its time: ``meanwhile`` happens before it has the body."""

    meanwhile: Callable[[], object] = field(kw_only=True)

    async def take(self, message: Any) -> None:
        if message["type"] == "http.response.body":
            self.meanwhile()
        await super().take(message)


async def test_what_was_purged_while_a_client_took_it_is_not_given_again(published: House) -> None:
    await ask(published, TAG)
    reply = Slow(meanwhile=lambda: published.manifests.forget([(DEMO, "latest")], []))
    await published.call(TAG, reply=reply, extensions={"entrepot.at_hand": {}})
    assert reply.body == CONTENT
    assert reply.answer is None or reply.answer.begin() is None


async def test_it_is_counted_as_if_it_had_been_asked_for(published: House) -> None:
    answer = await at_hand(published)
    published.clock.advance(5)
    labels = ("docker.io", "manifest", "hit", 200)
    tally = published.metrics.request(*labels)
    count, sent = tally.count, tally.sent_bytes
    for _ in range(3):
        begun = answer.begin()
        assert begun is not None
        answer.given("10.0.0.7", begun)
    assert (tally.count, tally.sent_bytes) == (count + 3, sent + 3 * len(CONTENT))
    uses = published.manifests._uses
    assert uses._noted[DIGEST] == (published.clock.now(), 5)


async def test_it_is_logged_as_if_it_had_been_asked_for(
    published: House, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    await ask(published, TAG, user_agent="test/1")
    hit = await ask(published, TAG, user_agent="test/1")
    assert hit.answer is not None
    for peer in ("127.0.0.1", "10.0.0.7"):
        begun = hit.answer.begin()
        assert begun is not None
        published.clock.advance(0.25)
        hit.answer.given(peer, begun)
    _, asked, *given = logged()
    assert [line.pop("remote") for line in given] == ["127.0.0.1", "10.0.0.7"]
    assert [line.pop("duration_seconds") for line in given] == [0.25, 0.25]
    for line in (asked, *given):
        line.pop("time")
    del asked["remote"], asked["duration_seconds"]
    assert given == [asked, asked]
    assert (asked["user_agent"], asked["cache"], asked["size"]) == ("test/1", "hit", len(CONTENT))


async def test_lines_are_written_soon_and_once(published: House) -> None:
    stream = BytesIO()
    writer = LineWriter(stream.write, "log")
    silent = AuditSettings(enabled=False)
    trail = AuditTrail(silent, published.folder, published.clock.now, published.metrics, log=writer)
    published.face._notes._audit = trail
    answer = await at_hand(published)

    async def give() -> None:
        before = stream.tell()
        answer.given("10.0.0.7", 0.0)
        await until(lambda: b"10.0.0.7" in stream.getvalue()[before:], "its line")

    for _ in range(3):
        await give()
    published.face.flush()
    writer.close()
    assert stream.getvalue().count(b"10.0.0.7") == 3


async def test_what_is_to_be_traced_is_asked_for(published: House, monkeypatch: pytest.MonkeyPatch) -> None:
    tracing, told = Tracing(monotonic=published.clock.monotonic), list[Span]()
    for module in (face, given_again):
        monkeypatch.setattr(module, "trace", tracing)
    tracing.configure(told.append, plain_a_second=2)
    answer = await at_hand(published)
    assert answer.begin() is None
    for _ in range(2):
        await ask(published, TAG)
    assert answer.begin() is not None
    published.clock.advance(1)
    assert answer.begin() is None
    assert [span.attributes["entrepot.cache"] for span in told] == ["miss", "hit", "hit"]


async def test_lines_are_in_the_order_in_which_requests_ended(
    published: House, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    answer = await at_hand(published)
    begun = answer.begin()
    assert begun is not None
    answer.given("10.0.0.7", begun)
    await ask(published, "/v2/")
    assert [line["path"] for line in logged()] == [TAG, TAG, TAG, "/v2/"]


async def test_who_asks_through_a_proxy_is_who_is_logged(
    published: House, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    published.face.proxies = TrustedProxies([ip_network("10.0.0.0/8")])
    answer = await at_hand(published, x_forwarded_for="192.0.2.7")
    for peer in ("10.0.0.7", "192.0.2.9"):
        begun = answer.begin()
        assert begun is not None
        answer.given(peer, begun)
    assert [line["remote"] for line in logged()][-2:] == ["192.0.2.7", "192.0.2.9"]
