"""What ``entrepot doctor`` asks the upstreams: do they answer, take the credential, agree on the time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable, Iterator, Mapping

from msgspec import Struct

from entrepot.cli.failures import happened, split_advice
from entrepot.cli.findings import Finding, fine, problem, warning
from entrepot.cli.tables import counted
from entrepot.config.schema import Settings, UpstreamSettings
from entrepot.errors import SettingsInvalid
from entrepot.oci.reference import split_host
from entrepot.ports.condition import Condition, CredentialStanding, Outcome, Trial
from entrepot.standalone import trying

__all__ = ["Answers", "check_names", "check_upstreams", "judge_clock", "judge_network", "judge_upstream"]

_DEADLINE = 15.0
_CLOCK = "clock"
_SUSPICIOUS, _WRONG = 5.0, 60.0
_LOW = 0.2
_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_ADVICE = {
    Outcome.REFUSED: "correct its username and password, credential_helper or docker_config",
    Outcome.RATE_LIMITED: "wait, or set a credential of your own, which may raise the limit",
    Outcome.TIMEOUT: "check the network on the way there, and the upstream's proxy setting",
}
_UNREACHED = (Outcome.ERROR, Outcome.TIMEOUT)
_OTHERWISE = "check that it runs there, and that no firewall is between"


class Answers(Struct, frozen=True):
    """What came of trying an upstream; ``failure`` where it could not be tried at all."""

    trials: tuple[Trial, ...] = ()
    condition: Condition | None = None
    failure: str | None = None


def check_names(settings: Settings) -> Iterator[Finding]:
    """Find upstreams that no image can name."""
    for name, upstream in settings.upstreams.items():
        is_host = split_host(f"{name}/any")[0] is not None
        if not (is_host or upstream.hostnames or name == settings.default_upstream):
            found = f"no image can name it: {name} has neither a dot nor a port, as hosts have in images"
            yield warning(f"upstream {name}", found, "call it by its host, or give it hostnames")


def check_upstreams(settings: Settings) -> Iterator[Finding]:
    """Ask all at once, so that the slowest one decides how long it takes."""
    answers = asyncio.run(_try_all(settings.upstreams))
    cut_off = list(judge_network(answers.values()))
    yield from cut_off
    for name, answer in () if cut_off else answers.items():
        yield from judge_upstream(name, answer, proxy=_unused_proxy(settings.upstreams[name]))
    if any(trial.outcome is Outcome.OK for answer in answers.values() for trial in answer.trials):
        yield judge_clock(answer.condition.clock_ahead for answer in answers.values() if answer.condition)


def judge_network(answers: Collection[Answers]) -> Iterator[Finding]:
    """Say once where it is likely this machine that is cut off, and not each of several upstreams.

    One that refuses connections, or answers nonsense, is reached: that is its own trouble.
    """
    trials = [trial for answer in answers for trial in answer.trials]
    if len(answers) > 1 and trials and all(trial.is_cut_off for trial in trials):
        reasons = list(dict.fromkeys(_split(trial)[0] for trial in trials))
        others = f", and {len(reasons) - 1} more such" if len(reasons) > 1 else ""
        found = f"none of {len(answers)} upstreams is reached from this machine: {reasons[0]}{others}"
        advice = "check its route, its DNS and its firewall; behind a proxy, set upstreams.NAME.proxy"
        yield problem("network", found, f"{advice}; to leave upstreams out, say --offline")


def judge_upstream(name: str, answers: Answers, *, proxy: str | None = None) -> Iterator[Finding]:
    """Judge the endpoints, then the rate limit; ``proxy`` is a variable that names one, and is not used."""
    check = f"upstream {name}"
    if answers.failure is not None:
        yield problem(check, answers.failure, "correct its settings")
    is_served = any(trial.outcome is Outcome.OK for trial in answers.trials)
    for trial in answers.trials:
        if trial.outcome is Outcome.OK and trial.reason is None:
            yield fine(check, f"{trial.url} answers{_credential(answers.condition)}, {trial.seconds:.2f} s")
            continue
        found, advice = _split(trial)
        if proxy is not None and trial.outcome in _UNREACHED:
            advice += f"; {proxy} is not used: set upstreams.{name}.proxy"
        yield (warning if is_served else problem)(check, happened(trial.url, found), advice)
    budget = answers.condition.budget if answers.condition else None
    if budget is not None and budget.remaining < budget.limit * _LOW:
        told = f"{budget.remaining} of {budget.limit} requests left"
        yield warning(check, told, _ADVICE[Outcome.RATE_LIMITED])


def judge_clock(aheads: Iterable[float | None]) -> Finding:
    """Believe the middle one of the upstreams: a single one may be wrong itself."""
    known = sorted(ahead for ahead in aheads if ahead is not None)
    if not known:
        return warning(_CLOCK, "no upstream told the time", "see that this machine's clock is set by NTP")
    ahead = known[len(known) // 2]
    told = f"it is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} that of the upstreams"
    advice = (
        "set it, and keep it by NTP (timedatectl set-ntp true): tokens and certificates are not valid by it"
    )
    if abs(ahead) > _SUSPICIOUS:
        return (problem if abs(ahead) > _WRONG else warning)(_CLOCK, told, advice)
    return fine(
        _CLOCK, f"it agrees with that of {counted(len(known), 'upstream')} within {_SUSPICIOUS:.0f} s"
    )


async def _try_all(upstreams: Mapping[str, UpstreamSettings]) -> dict[str, Answers]:
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(_try(name, settings)) for name, settings in upstreams.items()}
    return {name: task.result() for name, task in tasks.items()}


async def _try(name: str, settings: UpstreamSettings) -> Answers:
    try:
        async with asyncio.timeout(_DEADLINE), trying(name, settings) as upstream:
            return Answers(tuple(await upstream.try_out()), upstream.condition())
    except TimeoutError:
        late = f"no answer within {_DEADLINE:.0f} s"
        return Answers(tuple(Trial(url, Outcome.TIMEOUT, _DEADLINE, late) for url in settings.endpoints))
    except SettingsInvalid as invalid:
        return Answers(failure=str(invalid))


def _unused_proxy(settings: UpstreamSettings) -> str | None:
    return None if settings.proxy else next((name for name in _PROXIES if os.environ.get(name)), None)


def _credential(condition: Condition | None) -> str:
    match condition.credential if condition else CredentialStanding.NONE:
        case CredentialStanding.ACCEPTED:
            return " and takes the credential"
        case CredentialStanding.UNTRIED:
            return " without asking for the credential"
        case _:
            return ""


def _split(trial: Trial) -> tuple[str, str]:
    """Part what happened from what to do, where the reason tells both."""
    found, advice = split_advice(trial.reason or "it failed")
    return found, advice or _ADVICE.get(trial.outcome, _OTHERWISE)
