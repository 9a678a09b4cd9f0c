"""How an upstream is, for people to see, and whether it works when it is tried."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from entrepot.policy.breaker import Health

__all__ = [
    "Budget",
    "Condition",
    "CredentialStanding",
    "EndpointCondition",
    "InspectedUpstream",
    "Outcome",
    "Trial",
]


class CredentialStanding(StrEnum):
    NONE = "none"
    """None is configured."""
    UNTRIED = "untried"
    """The upstream was not asked for anything that needs it since the start."""
    ACCEPTED = "accepted"
    REFUSED = "refused"


class Outcome(StrEnum):
    """How a request to an upstream ended."""

    OK = "ok"
    NOT_FOUND = "not_found"
    REFUSED = "refused"
    RATE_LIMITED = "rate_limited"
    TIMEOUT = "timeout"
    ERROR = "error"


class Budget(Struct, frozen=True):
    """How many of ``limit`` requests were left at ``told_at``; all are again at ``resets_by`` at the latest.

    Times are epoch seconds.
    """

    limit: int
    remaining: int
    told_at: float
    resets_by: float | None


class EndpointCondition(Struct, frozen=True):
    """``retry_after``: seconds until it is asked again; ``last_failure``: why it failed when asked last."""

    url: str
    health: Health
    retry_after: float
    is_rate_limited: bool
    last_failure: str | None


class Condition(Struct, frozen=True):
    """``refusal``: why the credential was refused.  ``budget``: ``None`` where the upstream tells none.

    ``clock_ahead``: seconds by which this machine's clock was ahead of the upstream's when it last
    answered, to a second; ``None`` where it does not tell the time.
    """

    endpoints: Sequence[EndpointCondition]
    credential: CredentialStanding
    refusal: str | None
    budget: Budget | None
    clock_ahead: float | None


class Trial(Struct, frozen=True):
    """What came of asking one endpoint; ``reason`` where it did not go well, or pulls are likely not to.

    ``is_cut_off``: there was nobody to ask, by its name or on the way there.
    """

    url: str
    outcome: Outcome
    seconds: float
    reason: str | None
    is_cut_off: bool = False


class InspectedUpstream(Protocol):
    def condition(self) -> Condition: ...

    async def try_out(self) -> list[Trial]:
        """Ask each endpoint now, breaker or not; one that answers is trusted again."""
        ...
