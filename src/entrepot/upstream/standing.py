"""How this cache stands with an upstream, by its answers: what of its credential, how many requests left."""

from __future__ import annotations

from entrepot.ports.condition import Budget, CredentialStanding
from entrepot.upstream.answers import RateLimit

__all__ = ["Standing"]


class Standing:
    def __init__(self, *, has_credential: bool) -> None:
        self.credential = CredentialStanding.UNTRIED if has_credential else CredentialStanding.NONE
        self.refusal: str | None = None
        self.budget: Budget | None = None

    @property
    def has_credential(self) -> bool:
        return self.credential is not CredentialStanding.NONE

    def accepted(self) -> None:
        self.credential, self.refusal = CredentialStanding.ACCEPTED, None

    def refused(self, reason: str) -> None:
        self.credential, self.refusal = CredentialStanding.REFUSED, reason

    def told(self, limit: RateLimit, now: float) -> None:
        self.budget = Budget(limit.limit, limit.remaining, now, self._resets_by(limit, now))

    def _resets_by(self, limit: RateLimit, now: float) -> float | None:
        """Conclude when the window ends: it began before it was first heard of.

        Requests that become more again, or a window that is over, tell of a new one.
        """
        if limit.resets_at is not None or limit.window is None:
            return limit.resets_at
        before = self.budget
        if before is None or before.resets_by is None:
            return now + limit.window
        is_same = limit.remaining <= before.remaining and now < before.resets_by
        return before.resets_by if is_same else now + limit.window
