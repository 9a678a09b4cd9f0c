"""How long to wait for the rest of a body: silence ends it, and drops do, which would never fill it."""

from __future__ import annotations

from entrepot.errors import UpstreamTimeout

__all__ = ["Patience"]

_WORTH_A_WAIT = 1 << 10
"""Bytes for which it is worth to wait as long as a read may take: no line is so slow, but stuck ones are."""


class Patience:
    """Of whoever reads a body of ``host``, which may take ``seconds`` for the next kilobyte."""

    def __init__(self, host: str, seconds: float) -> None:
        self._host = host
        self._seconds = seconds
        self._come = 0
        self.left = seconds
        """Seconds to wait for what comes next."""

    def rewarded(self, count: int, waited: float) -> None:
        """Note how many bytes came after a wait of so many seconds."""
        self.left -= waited
        self._come += count
        if self._come >= _WORTH_A_WAIT:
            self.left, self._come = self._seconds, 0

    def ended(self) -> UpstreamTimeout:
        """Return what to raise when nothing has come in the time that was left."""
        how = f"sent only {self._come} bytes in" if self._come else "fell silent for"
        return UpstreamTimeout(f"{self._host} {how} {self._seconds:g} s in the middle of an answer")
