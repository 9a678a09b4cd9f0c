from __future__ import annotations

import pytest

from entrepot.cli.upstream_checks import Answers, judge_clock, judge_network, judge_upstream
from entrepot.ports.condition import Budget, Condition, CredentialStanding, Outcome, Trial

WELL = Trial("https://a", Outcome.OK, 0.1, None)
DOWN = Trial("https://b", Outcome.ERROR, 0.1, "b accepts no connections: Connection refused")
_LOST = "the name of b does not resolve; check its spelling and the DNS"
LOST = Trial("https://b", Outcome.ERROR, 0.1, _LOST, is_cut_off=True)


def condition(
    credential: CredentialStanding = CredentialStanding.NONE, budget: Budget | None = None
) -> Condition:
    return Condition([], credential, None, budget, None)


@pytest.mark.parametrize(
    ("aheads", "verdict", "part"),
    [
        ([0.4, None, -3.0], "ok", "agrees with that of 2 upstreams within 5 s"),
        ([-7.2], "warning", "it is 7 s behind"),
        ([90.0, 91.0, -500.0], "problem", "it is 90 s ahead of"),
        ([0.0, 0.0, 90000.0], "ok", "agrees with that of 3 upstreams"),
        ([None], "warning", "no upstream told the time"),
        ([], "warning", "no upstream told the time"),
    ],
)
def test_the_clock_is_judged_by_what_most_upstreams_say(
    aheads: list[float | None], verdict: str, part: str
) -> None:
    finding = judge_clock(aheads)
    assert (finding.verdict, part in finding.found) == (verdict, True)


@pytest.mark.parametrize(
    ("trials", "is_cut_off"),
    [
        ((LOST, LOST), True),
        ((DOWN, LOST), False),
        ((DOWN, DOWN), False),
        ((LOST, WELL), False),
        ((LOST,), False),
        ((), False),
    ],
)
def test_a_machine_that_reaches_no_upstream_is_told_so_once(
    trials: tuple[Trial, ...], *, is_cut_off: bool
) -> None:
    findings = list(judge_network([Answers((trial,)) for trial in trials]))
    assert [finding.check for finding in findings] == ["network"] * is_cut_off


@pytest.mark.parametrize(
    ("trials", "verdicts"),
    [((WELL,), ["ok"]), ((WELL, DOWN), ["ok", "warning"]), ((DOWN, LOST), ["problem", "problem"])],
)
def test_an_endpoint_that_fails_is_a_problem_where_no_other_serves(
    trials: tuple[Trial, ...], verdicts: list[str]
) -> None:
    assert [finding.verdict for finding in judge_upstream("a", Answers(trials))] == verdicts


@pytest.mark.parametrize(
    ("trial", "found", "advice"),
    [
        (LOST, "https://b: the name of b does not resolve", "check its spelling and the DNS"),
        (
            DOWN,
            "https://b accepts no connections: Connection refused",
            "check that it runs there, and that no firewall is between",
        ),
        (
            Trial("https://b", Outcome.REFUSED, 0.1, "wrong password"),
            "https://b: wrong password",
            "correct its username and password, credential_helper or docker_config",
        ),
    ],
)
def test_what_to_do_is_told_apart_from_what_happened(trial: Trial, found: str, advice: str) -> None:
    (finding,) = judge_upstream("b", Answers((trial,)))
    assert (finding.found, finding.advice) == (found, advice)


def test_a_user_who_is_asked_for_and_not_configured_is_a_warning() -> None:
    asked = Trial(
        "https://a", Outcome.OK, 0.1, "a asks for a user; set username and password of this upstream"
    )
    (finding,) = judge_upstream("a", Answers((asked,)))
    assert (finding.verdict, finding.found) == ("warning", "https://a asks for a user")
    assert finding.advice == "set username and password of this upstream"


def test_a_proxy_that_is_not_used_is_named_where_nobody_is_reached() -> None:
    (finding,) = judge_upstream("b", Answers((DOWN,)), proxy="HTTPS_PROXY")
    assert str(finding.advice).endswith("HTTPS_PROXY is not used: set upstreams.b.proxy")


def test_what_becomes_of_a_credential_is_told() -> None:
    for standing, told in (
        (CredentialStanding.ACCEPTED, "answers and takes the credential, 0.10 s"),
        (CredentialStanding.UNTRIED, "answers without asking for the credential, 0.10 s"),
    ):
        (finding,) = judge_upstream("a", Answers((WELL,), condition(standing)))
        assert finding.found == f"https://a {told}"


def test_a_rate_limit_that_runs_out_is_a_warning() -> None:
    few, many = (Budget(100, left, 0.0, None) for left in (19, 20))
    assert [one.verdict for one in judge_upstream("a", Answers((WELL,), condition(budget=few)))] == [
        "ok",
        "warning",
    ]
    assert [one.verdict for one in judge_upstream("a", Answers((WELL,), condition(budget=many)))] == ["ok"]


def test_an_upstream_that_cannot_be_made_is_a_problem() -> None:
    (finding,) = judge_upstream("a", Answers(failure="its ca_file is no PEM"))
    assert (finding.verdict, finding.found) == ("problem", "its ca_file is no PEM")
