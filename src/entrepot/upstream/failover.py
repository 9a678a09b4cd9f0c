"""Tries the endpoints of an upstream in order, skipping those known to fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import TypeVar, assert_never

from entrepot.errors import (
    EntrepotError,
    NotHere,
    RateLimited,
    Refused,
    UpstreamDown,
    UpstreamLoops,
    UpstreamTimeout,
    WrongContent,
)
from entrepot.policy.breaker import FailureKind, Health
from entrepot.policy.retry import (
    GiveUp,
    RetryAfter,
    RetryVerdict,
    TryNextEndpoint,
    after_failure,
    after_rate_limit,
)
from entrepot.ports.clock import Clock
from entrepot.upstream.endpoint import Busy, Endpoint

__all__ = ["Failover", "blame"]

T = TypeVar("T")

# A request leaves a little later than its asker begins to wait.
_SHARE_OF_A_WAIT = 0.9


class Failover:
    """Also the breaker of the upstream: the best of what holds for its endpoints."""

    def __init__(self, endpoints: Sequence[Endpoint], clock: Clock, chance: Callable[[], float]) -> None:
        self._endpoints = endpoints
        self._clock = clock
        self._chance = chance

    def health(self) -> Health:
        healths = {endpoint.health for endpoint in self._endpoints}
        return next(health for health in (Health.UP, Health.PROBING, Health.DOWN) if health in healths)

    def doubt(self, waited: float) -> None:
        """Blame the endpoint whose answer is longest in coming, if it is in coming for as long as that.

        Nobody is to blame where all wait for a connection, or were asked only a moment ago.
        """
        slowest = max(self._endpoints, key=lambda endpoint: endpoint.longest_wait)
        if slowest.longest_wait > waited * _SHARE_OF_A_WAIT:
            slowest.fail(FailureKind.DOUBT, f"no answer after {slowest.longest_wait:.1f} s")

    async def run(
        self, call: Callable[[Endpoint], Awaitable[T]], *, is_last: Callable[[Endpoint], bool] | None = None
    ) -> T:
        """Return what ``call`` returns for the first endpoint where it succeeds, ``is_last`` behind others.

        A mirror may lack what the first endpoint has, so "not here" and "refused" count only if
        every endpoint says so; then the first one's word is raised.  Where that counts too many requests,
        who asks is told to come again when any endpoint that does so may be asked.
        """
        endpoints = self._endpoints if is_last is None else sorted(self._endpoints, key=is_last)
        healthy = [endpoint for endpoint in endpoints if endpoint.health is not Health.DOWN]
        asked = healthy or [endpoint for endpoint in endpoints if endpoint.is_worth_asking]
        failures: list[EntrepotError] = []
        for endpoint in endpoints:
            if endpoint not in asked:
                failures.append(_left_alone(endpoint))
                continue
            try:
                return await self._insist(endpoint, call)
            except Busy as failure:
                failures.append(failure if endpoint.is_worth_asking else _left_alone(endpoint))
            except (NotHere, Refused, RateLimited, UpstreamDown) as failure:
                failures.append(failure)
        transient = (failure for failure in failures if isinstance(failure, RateLimited | UpstreamDown))
        first = next(transient, failures[0])
        if isinstance(first, RateLimited):
            first = min((failure for failure in failures if isinstance(failure, RateLimited)), key=_wait)
        raise first

    async def _insist(self, endpoint: Endpoint, call: Callable[[Endpoint], Awaitable[T]]) -> T:
        """Ask one endpoint as often as the rules of retrying allow; its breaker counts that as one."""
        attempt = 0
        while True:
            attempt += 1
            endpoint.probe()
            try:
                result = await call(endpoint)
            except (RateLimited, UpstreamDown) as failure:
                verdict = self._judge(failure, attempt)
                if not isinstance(verdict, RetryAfter):
                    blame(endpoint, failure)
                    raise
                await self._clock.sleep(verdict.seconds)
            except (NotHere, Refused):
                endpoint.succeed()
                raise
            else:
                endpoint.succeed()
                return result

    def _judge(self, failure: RateLimited | UpstreamDown, attempt: int) -> RetryVerdict:
        match failure:
            case RateLimited():
                return after_rate_limit(attempt, failure.retry_after, self._chance())
            case Busy() | UpstreamLoops():
                return TryNextEndpoint()
            case UpstreamTimeout():
                return after_failure(attempt, FailureKind.TIMEOUT, self._chance())
            case WrongContent() if attempt > 1:
                return GiveUp()
            case UpstreamDown():
                return after_failure(attempt, FailureKind.SERVER_ERROR, self._chance())
            case _:
                assert_never(failure)


def blame(endpoint: Endpoint, failure: RateLimited | UpstreamDown) -> None:
    """Count against an endpoint how it failed, if that says anything of it."""
    match failure:
        case RateLimited():
            endpoint.limit(failure.retry_after, str(failure))
        case Busy():
            pass
        case WrongContent() | UpstreamLoops():
            endpoint.succeed()
        case UpstreamTimeout():
            endpoint.fail(FailureKind.TIMEOUT, str(failure))
        case UpstreamDown():
            endpoint.fail(FailureKind.SERVER_ERROR, str(failure))
        case _:
            assert_never(failure)


def _wait(limited: RateLimited) -> float:
    return inf if limited.retry_after is None else limited.retry_after


def _left_alone(endpoint: Endpoint) -> RateLimited | UpstreamDown:
    wait = endpoint.retry_after
    if endpoint.is_rate_limited:
        return RateLimited(
            f"{endpoint.host} counts too many requests; it is left alone for {wait:.0f} s", wait
        )
    return UpstreamDown(f"{endpoint.host} failed a moment ago; it is asked again in {wait:.0f} s", wait)
