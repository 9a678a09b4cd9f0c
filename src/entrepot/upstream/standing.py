"""How this cache stands with an upstream, by its answers: what of its credential, how many requests left."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from entrepot.ports.condition import Budget, CredentialStanding
from entrepot.upstream.answers import RateLimit

__all__ = ["Standing"]

_HALF_A_SECOND = 0.5


class Standing:
    def __init__(self, *, has_credential: bool) -> None:
        self.credential = CredentialStanding.UNTRIED if has_credential else CredentialStanding.NONE
        self.refusal: str | None = None
        self.budget: Budget | None = None
        self._dated: tuple[str, float] | None = None

    @property
    def has_credential(self) -> bool:
        return self.credential is not CredentialStanding.NONE

    @property
    def clock_ahead(self) -> float | None:
        """Compare the clock with the Date of the last answer, which is cut to a second."""
        if self._dated is None:
            return None
        text, now = self._dated
        try:
            return now - parsedate_to_datetime(text).timestamp() - _HALF_A_SECOND
        except (ValueError, TypeError, IndexError, OverflowError):
            return None

    def dated(self, headers: Mapping[str, str], now: float) -> None:
        """Keep when an upstream says that it answered; what a cache on the way kept says nothing of now."""
        date = headers.get("date")
        if date is not None and "age" not in headers:
            self._dated = (date, now)

    def accepted(self) -> None:
        self.credential, self.refusal = CredentialStanding.ACCEPTED, None

    def refused(self, reason: str) -> None:
        self.credential, self.refusal = CredentialStanding.REFUSED, reason

    def told(self, limit: RateLimit, now: float) -> None:
        self.budget = Budget(limit.limit, limit.remaining, now, self._resets_by(limit, now))

    def is_over(self, now: float) -> bool:
        """Tell whether the window has ended that the upstream last told of."""
        return self.budget is not None and self.budget.resets_by is not None and now >= self.budget.resets_by

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
