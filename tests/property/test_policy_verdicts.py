"""The verdicts hold what they promise for all facts, not only for the tables' rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entrepot.oci.reference import Repository, check_name
from entrepot.policy.access import may_send_credential
from entrepot.policy.breaker import (
    CLOSED,
    BreakerState,
    FailureKind,
    Health,
    health,
    on_failure,
    on_probe,
    on_rate_limit,
    on_success,
    retry_after,
)
from entrepot.policy.freshness import (
    Ask,
    Freshness,
    RecentlyRefused,
    Revalidate,
    Serve,
    ServeAndRefresh,
    ServeStale,
    TagFacts,
    decide,
)
from entrepot.policy.retention import (
    ContentFacts,
    Expired,
    Holder,
    Pin,
    Pinned,
    Retention,
    RetentionRules,
    shortest,
)
from entrepot.policy.retention import decide as decide_retention
from entrepot.policy.retry import RetryAfter, after_failure, after_rate_limit
from entrepot.policy.routing import UpstreamTable, resolve

UPSTREAMS = UpstreamTable.build(
    ["docker.io", "ghcr.io", "localhost:5000"], {"cache.example": "ghcr.io"}, "docker.io"
)

seconds = st.floats(0, 1e7)
limits = st.builds(Freshness, seconds, seconds, seconds, seconds, seconds)
times = st.floats(0, 4e9)
hosts = (
    st.none()
    | st.sampled_from(["docker.io", "ghcr.io", "localhost:5000", "cache.example", "evil.example"])
    | st.text(max_size=12)
)
names = st.text(max_size=20) | st.from_regex(
    r"([a-z]{1,3}|docker\.io|localhost:5000|ghcr\.io)(/[a-z]{1,3}){0,2}", fullmatch=True
)


@given(hosts, hosts, hosts, names)
def test_a_request_ends_at_a_configured_upstream_under_a_checked_name_or_nowhere(
    path_host: str | None, ns: str | None, header: str | None, name: str
) -> None:
    answer = resolve(path_host, ns, header, name, UPSTREAMS)
    if isinstance(answer, Repository):
        assert answer.upstream in {"docker.io", "ghcr.io", "localhost:5000"}
        assert check_name(answer.name) == answer.name
        assert answer.upstream != "docker.io" or "/" in answer.name


@given(limits, times, st.none() | times, times, st.sampled_from(Health))
def test_what_was_checked_ahead_of_the_clock_is_neither_believed_nor_lost(
    limit: Freshness, ahead: float, refused_at: float | None, now: float, state: Health
) -> None:
    facts = TagFacts(checked_at=now + ahead + 1, refused_at=refused_at, health=state)
    verdict = decide(facts, limit, now)
    assert not isinstance(verdict, Serve | Ask | RecentlyRefused)
    is_refused = refused_at is not None and 0 <= now - refused_at < limit.not_found_for
    assert (verdict == Revalidate(limit.revalidate_within)) == (state is Health.UP and not is_refused)


@given(limits, times, st.none() | times, times, st.sampled_from(Health))
def test_a_cached_tag_is_served_while_the_upstream_fails_for_as_long_as_promised(
    limit: Freshness, checked_at: float, refused_at: float | None, now: float, state: Health
) -> None:
    facts = TagFacts(checked_at=checked_at, refused_at=refused_at, health=state)
    verdict = decide(facts, limit, now)
    age = now - checked_at
    if age < limit.stale_if_error:
        assert verdict not in (Ask(), RecentlyRefused())
    if state is Health.DOWN:
        assert isinstance(verdict, Serve | ServeStale | Ask | RecentlyRefused)
    if state is Health.PROBING:
        assert not isinstance(verdict, Revalidate)
    if age >= limit.fresh_for or age < 0:
        assert verdict != Serve()
    if isinstance(verdict, ServeAndRefresh) and state is Health.UP:
        assert 0 <= age < limit.fresh_for + limit.stale_while_revalidate


events = st.one_of(
    st.just(("success", None)),
    st.just(("probe", None)),
    st.tuples(st.just("failure"), st.sampled_from(FailureKind)),
    st.tuples(st.just("limit"), st.none() | st.floats(-10, 1e6)),
)


@given(st.lists(st.tuples(st.floats(0, 30), events), max_size=30))
def test_an_endpoint_is_never_given_up_for_good(
    history: list[tuple[float, tuple[str, FailureKind | float | None]]],
) -> None:
    state, now = CLOSED, 0.0
    for pause, (event, detail) in history:
        now += pause
        state = _step(state, now, event, detail)
        wait = retry_after(state, now)
        assert 0 <= wait <= 3600
        assert (wait > 0) == (health(state, now) is Health.DOWN)
        assert health(state, now + 3600) is not Health.DOWN
        assert health(on_success(state), now + 3600) is Health.UP


def _step(state: BreakerState, now: float, event: str, detail: FailureKind | float | None) -> BreakerState:
    if event == "success":
        return on_success(state)
    if event == "probe":
        return on_probe(state, now)
    if isinstance(detail, FailureKind):
        return on_failure(state, now, detail)
    return on_rate_limit(state, now, detail)


@given(
    st.integers(1, 10),
    st.sampled_from(FailureKind),
    st.floats(0, 1, exclude_max=True),
    st.none() | st.floats(-5, 1e6),
)
def test_a_retry_is_soon_and_seldom(
    attempt: int, kind: FailureKind, chance: float, told: float | None
) -> None:
    for verdict in (after_failure(attempt, kind, chance), after_rate_limit(attempt, told, chance)):
        if isinstance(verdict, RetryAfter):
            assert attempt <= 2
            assert 0 <= verdict.seconds <= 4


@given(st.text(max_size=40), st.text("abc.:/@\\[]%#? \t0", max_size=20))
def test_no_strange_url_is_sent_a_credential_or_raises(realm: str, host: str) -> None:
    for url in (realm, f"https://{host}", f"https://{host}/docker.io", f"https://{host}@docker.io"):
        assert not may_send_credential("https://registry-1.docker.io", url)
        may_send_credential(url, url)


repositories = st.builds(
    Repository,
    st.sampled_from(["docker.io", "ghcr.io", "gone.example"]),
    st.sampled_from(["a", "b/c", "b/d"]),
)
holders = st.builds(Holder, repositories, st.lists(st.sampled_from(["1", "1.2", "x"]), max_size=2).map(tuple))
retentions = st.builds(Retention, st.none() | seconds, st.none() | seconds)
patterns = st.sampled_from(["*", "a", "b/*", "[", "?"])
pins = st.builds(Pin, patterns, st.none() | st.sampled_from(["*", "1*", "x"]))
retention_rules = st.dictionaries(
    st.sampled_from(["docker.io", "ghcr.io"]),
    st.builds(
        RetentionRules,
        retentions,
        st.lists(st.tuples(patterns, retentions), max_size=2).map(tuple),
        st.lists(pins, max_size=2).map(tuple),
    ),
)
contents = st.builds(ContentFacts, times, times, st.lists(holders, min_size=1, max_size=3).map(tuple))


@given(contents, retention_rules, times)
def test_what_a_pin_covers_is_never_expired(
    facts: ContentFacts, rules: dict[str, RetentionRules], now: float
) -> None:
    none = RetentionRules()
    is_covered = any(
        pin.covers(holder)
        for holder in facts.holders
        for pin in rules.get(holder.repository.upstream, none).pins
    )
    assert isinstance(decide_retention(facts, rules, now), Pinned) is is_covered


@given(contents, holders, retention_rules, times)
def test_one_more_holder_never_shortens_a_life(
    facts: ContentFacts, holder: Holder, rules: dict[str, RetentionRules], now: float
) -> None:
    shared = ContentFacts(facts.fetched_at, facts.last_used_at, (*facts.holders, holder))
    if not isinstance(decide_retention(facts, rules, now), Expired):
        assert not isinstance(decide_retention(shared, rules, now), Expired)


@given(contents, retention_rules, times, seconds)
def test_setting_the_clock_back_expires_nothing(
    facts: ContentFacts, rules: dict[str, RetentionRules], now: float, step: float
) -> None:
    if isinstance(decide_retention(facts, rules, now - step), Expired):
        assert isinstance(decide_retention(facts, rules, now), Expired)


@given(contents, retention_rules, times)
def test_what_expires_is_beyond_the_shortest_limit_by_which_it_is_looked_for(
    facts: ContentFacts, rules: dict[str, RetentionRules], now: float
) -> None:
    limits, verdict = shortest(rules.values()), decide_retention(facts, rules, now)
    if isinstance(verdict, Expired):
        is_unused = limits.keep_for is not None and now - facts.last_used_at >= limits.keep_for
        is_old = limits.expire_after is not None and now - facts.fetched_at >= limits.expire_after
        assert is_unused or is_old
